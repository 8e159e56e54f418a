"""The errors of the platform's SDK that orchlite raises, with their names, modules, parameters and texts: programs check all of them."""

from __future__ import annotations

from contextlib import contextmanager

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


class EntityNotFoundError(Exception):
    """There is no object with this name or id."""

    __module__ = "wallaroo.object"

    def __init__(self, entity_type: str, params: Mapping[str, Any]) -> None:
        super().__init__(f"{entity_type} not found: {params}")


class InvalidNameError(Exception):
    """A name does not follow the rule for names."""

    __module__ = "wallaroo.object"

    def __init__(self, name: str, req: str) -> None:
        super().__init__(f"Name '{name} is invalid: {req}")


class RequiredAttributeMissing(Exception):
    """A response lacks an attribute that an object of the SDK needs."""

    __module__ = "wallaroo.object"

    def __init__(self, class_name: str, attribute_name: str) -> None:
        super().__init__(f"{class_name}: Missing required attribute '{attribute_name}' in response")


class WaitForError(Exception):
    """A deployment did not reach the expected status in time."""

    __module__ = "wallaroo.deployment"

    def __init__(self, message: str, status: dict[str, Any] | None) -> None:
        super().__init__(message)
        self.status = status


class WaitForDeployError(RuntimeError):
    """A pipeline could not be deployed."""

    __module__ = "wallaroo.deployment"


class OrchestrationMissingFile(Exception):
    """An upload has neither bytes nor a path."""

    __module__ = "wallaroo.orchestration"

    def __init__(self) -> None:
        super().__init__("Orchestration Upload requires either bytes or path to an Orchestration file.")


class OrchestrationUploadFailed(Exception):
    """An upload was refused."""

    __module__ = "wallaroo.orchestration"

    def __init__(self, e: object) -> None:
        super().__init__(f"Orchestration upload failed: {e}")


class OrchestrationDeployOneshotFailed(Exception):
    """A task of any kind was refused, in spite of the name."""

    __module__ = "wallaroo.orchestration"

    def __init__(self, e: object) -> None:
        super().__init__(f"Orchestration deploy failed: {e}")


@contextmanager
def as_plain(message: str) -> Iterator[None]:
    """Turn an `OrchliteError` of the block into a plain Exception with this text, as the SDK raises it.

    Its reason becomes a note of the exception, so that it is the last thing in a run's log. `StoreElsewhere`, of which the SDK knows
    nothing, is raised as it is.

    Raises:
        Exception: the block raised an `OrchliteError`.
    """
    from orchlite.core.errors import OrchliteError, StoreElsewhere

    try:
        yield
    except StoreElsewhere:
        raise
    except OrchliteError as error:
        plain = Exception(message)  # the class that the SDK raises
        plain.add_note(str(error))
        raise plain from None  # orchlite's own traceback does not help the program's author
