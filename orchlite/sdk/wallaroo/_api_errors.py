"""`wallaroo.exceptions`: the errors that the platform's SDK makes of the engine's answers, with its attributes and texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from orchlite.core.errors import Conflict, DeviceFailed, MissingExtra, NotFound, OrchliteError, StoreElsewhere


class APIErrorResponse(NamedTuple):
    """What the platform said about an error."""

    code: int | None = None
    """A status code of HTTP."""
    status: str | None = None
    error: str | None = None
    """The reason, for people."""
    source: str | None = None
    """The part of the platform that failed, such as `engine`."""
    original_response: Any = None

    @classmethod
    def from_response(cls, response: Any) -> Self:
        """Read an HTTP response with a JSON body: either `{code, status, error, source}` or `{code, msg}`."""
        try:
            body = response.json()
        except Exception:
            body = {}
        code, text = body.get("code", response.status_code), response.text
        if body.keys() & {"error", "status", "source"}:
            return cls(code, body.get("status"), body.get("error") or text, body.get("source"), response)
        return cls(code, None, body.get("msg") or text, None, response)


class WallarooAPIError(Exception):
    """The platform refused a request, or failed."""

    __module__ = "wallaroo.exceptions"

    def __init__(self, error_response: APIErrorResponse, prefix: str = "") -> None:
        self.code, self.status, self.error, self.source, _ = error_response
        self.response = error_response
        self.prefix = prefix
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"[{self.code}] {self.error}"
        if self.prefix:
            text = f"{self.prefix}: {text}"
        if not self.source:
            return text
        return f"{text} (source: {self.source}{f', status: {self.status}' if self.status else ''})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.response, self.prefix)


class InferenceError(WallarooAPIError):
    """An inference was refused, or has failed."""

    __module__ = "wallaroo.exceptions"

    def __init__(self, response: Any) -> None:
        super().__init__(APIErrorResponse.from_response(response), _PREFIXES[InferenceError])


class ModelUploadError(WallarooAPIError):
    """The upload of a model was refused."""

    __module__ = "wallaroo.exceptions"

    def __init__(self, response: Any) -> None:
        super().__init__(APIErrorResponse.from_response(response), _PREFIXES[ModelUploadError])


_PREFIXES: dict[type[WallarooAPIError], str] = {InferenceError: "Inference failed", ModelUploadError: "Model failed to upload"}


class InferenceTimeoutError(Exception):
    """An inference took longer than its `timeout`."""

    __module__ = "wallaroo.exceptions"

    def __init__(self, error: object) -> None:
        super().__init__(f"Inference failed: {error}")


@contextmanager
def as_api_error(kind: type[WallarooAPIError] = WallarooAPIError) -> Iterator[None]:
    """Turn an `OrchliteError` of the block into what the SDK raises where the platform refuses something; but leave `StoreElsewhere`.

    Raises:
        WallarooAPIError: the block raised an `OrchliteError`.
    """
    try:
        yield
    except StoreElsewhere:
        raise
    except OrchliteError as error:
        source = {"status": "Error", "source": "engine"} if kind is InferenceError else {}
        raise _rebuild(kind, APIErrorResponse(_code(error), error=str(error), **source), _PREFIXES.get(kind, "")) from error


def _code(error: OrchliteError) -> int:
    if isinstance(error, NotFound | Conflict):  # a pipeline that is not deployed has no address there
        return 404
    return 500 if isinstance(error, DeviceFailed | MissingExtra) else 400


def _rebuild(kind: type[WallarooAPIError], response: APIErrorResponse, prefix: str) -> WallarooAPIError:
    """Create an error without the response of HTTP that its class takes."""
    error = kind.__new__(kind)
    WallarooAPIError.__init__(error, response, prefix)
    return error
