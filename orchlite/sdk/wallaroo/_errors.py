"""The errors of the platform's SDK that are raised here: its names, what they are made of, and their texts, which programs look at.

Each bears the module that the SDK has it in.
"""

from __future__ import annotations

from contextlib import contextmanager

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


class EntityNotFoundError(Exception):
    """Nothing has this name or id."""

    __module__ = "wallaroo.object"

    def __init__(self, entity_type: str, params: Mapping[str, Any]) -> None:
        super().__init__(f"{entity_type} not found: {params}")


class InvalidNameError(Exception):
    """A name breaks the rule for names."""

    __module__ = "wallaroo.object"

    def __init__(self, name: str, req: str) -> None:
        super().__init__(f"Name '{name} is invalid: {req}")


class RequiredAttributeMissing(Exception):
    """An object of the SDK was made without something that it needs."""

    __module__ = "wallaroo.object"

    def __init__(self, class_name: str, attribute_name: str) -> None:
        super().__init__(f"{class_name}: Missing required attribute '{attribute_name}' in response")


class OrchestrationMissingFile(Exception):
    """An upload without a file."""

    __module__ = "wallaroo.orchestration"

    def __init__(self) -> None:
        super().__init__("Orchestration Upload requires either bytes or path to an Orchestration file.")


class OrchestrationUploadFailed(Exception):
    """An upload was refused."""

    __module__ = "wallaroo.orchestration"

    def __init__(self, e: object) -> None:
        super().__init__(f"Orchestration upload failed: {e}")


class OrchestrationDeployOneshotFailed(Exception):
    """A task was refused; not only a one-shot one."""

    __module__ = "wallaroo.orchestration"

    def __init__(self, e: object) -> None:
        super().__init__(f"Orchestration deploy failed: {e}")


@contextmanager
def as_plain(message: str) -> Iterator[None]:
    """Raise what orchlite refuses in the block as the SDK does: as a plain Exception with this text.

    The reason is its context and, so that it is the last thing in a run's log, a note behind its traceback.

    Raises:
        Exception: something was refused.
    """
    from orchlite.core.errors import OrchliteError

    try:
        yield
    except OrchliteError as error:
        plain = Exception(message)  # the SDK's class
        plain.add_note(str(error))
        raise plain from None  # how it came to the reason is of no use to who wrote the program
