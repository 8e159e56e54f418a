"""What is answered where a request is refused: the status, and one shape for all: `{"code", "msg", "error", "details"}`.

The platform's clients read `code` and `msg`; `error` is the name of orchlite's error, and `details` its facts. No refusal shows what it
refuses: arguments and details may be secret.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect
from typing_extensions import TypedDict

from orchlite.core.errors import (
    BadArgument,
    Closed,
    Conflict,
    InvalidInput,
    NotFound,
    OrchliteError,
    PackagingFailed,
    StorageFull,
    StoreBusy,
)

_log = logging.getLogger(__name__)

_STATUSES: tuple[tuple[type[OrchliteError], int], ...] = (
    (InvalidInput, 400),
    (NotFound, 404),
    (Conflict, 409),
    (PackagingFailed, 409),  # the orchestration is in `error`, and what was asked for contradicts that
    (StorageFull, 507),
    (StoreBusy, 503),
    (Closed, 503),
)
_WIRE_NAMES = {"json_args": "json", "connection_type": "type"}
"""What the wire calls arguments that have another name in Python."""


class Refusal(TypedDict):
    """Why nothing was done."""

    code: int
    msg: str
    error: str
    details: dict[str, Any]


_MEANINGS = {
    400: "the request is refused, nothing was stored",
    401: "no token, or a wrong one",
    403: "the request comes from a foreign page or was sent to a foreign host",
    404: "there is no such thing here",
    409: "it contradicts what is there",
    413: "the body is too large",
    415: "the body is of another type",
    500: "orchlite failed",
    503: "the store is busy or closed",
    507: "the disk is full, nothing was stored",
}
_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    # Not `"model": Refusal`: FastAPI would build a model of it for each status of each endpoint, which takes longer than all else.
    status: {"description": meaning, "content": _CONTENT}
    for status, meaning in _MEANINGS.items()
}
"""Every refusal, for the OpenAPI document."""


class Refused(HTTPException):
    """An error of orchlite's with a status of its own, or that must get through the hands of FastAPI."""

    def __init__(self, error: OrchliteError, status: int | None = None) -> None:
        super().__init__(status or status_of(error))
        self.error = error


def status_of(error: OrchliteError) -> int:
    """The status that says it over HTTP."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def refusal(status: int, message: str, error: str, details: Mapping[str, Any] | None = None) -> Response:
    """The answer of any refusal."""
    content = Refusal(code=status, msg=message, error=error, details=dict(details or {}))
    # ASCII: a message may name what no UTF-8 can hold, a lone surrogate for instance.
    return Response(json.dumps(content, default=str), status, media_type="application/json")


def refuse(error: OrchliteError, status: int | None = None) -> Response:
    """The answer to what an error of orchlite's has stopped."""
    argument = error.details.get("argument")
    wire = _WIRE_NAMES.get(argument) if isinstance(argument, str) else None
    message, details = str(error), error.details
    if wire is not None:
        message, details = message.replace(str(argument), wire, 1), {**details, "argument": wire}
    return refusal(status or status_of(error), message, type(error).__name__, details)


def describe(document: dict[str, Any]) -> None:
    """Have an OpenAPI document say how requests are refused here, which is not FastAPI's way."""
    schemas = document["components"]["schemas"]
    schemas["Refusal"] = TypeAdapter(Refusal).json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)


def install(app: FastAPI) -> None:
    """Have every error answered in the one shape."""
    app.add_exception_handler(OrchliteError, _orchlite_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(AnyHTTPException, _http_error)  # FastAPI's own is one of these; bodies that it cannot read raise the other
    app.add_exception_handler(404, _http_error)
    app.add_exception_handler(405, _http_error)
    app.add_exception_handler(ClientDisconnect, _cut)
    app.add_exception_handler(Exception, _unexpected)


def invalid(errors: Sequence[Mapping[str, Any]]) -> BadArgument:
    """What pydantic found wrong, as orchlite says it: the first field, and why."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query")) or "the body"
    hint = None if len(errors) == 1 else f"{len(errors) - 1} more fields are refused."
    # Never first["input"]: it may be secret.
    return BadArgument(f"{where!r:.80}: {first['msg']}.", hint=hint, argument=where)


def _orchlite_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OrchliteError)
    if status_of(error) == 500:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refuse(error)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refuse(invalid(error.errors()))


def _http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, Refused):
        return refuse(error.error, error.status_code)
    status = getattr(error, "status_code", 500)
    phrase = HTTPStatus(status).phrase
    answer = refusal(status, f"{phrase}.", phrase.title().replace(" ", ""))
    answer.headers.update(getattr(error, "headers", None) or {})
    return answer


def _cut(request: Request, error: Exception) -> Response:
    return refuse(BadArgument("The request was cut off.", hint="Nothing was stored; send it again."))


def _unexpected(request: Request, error: Exception) -> Response:
    return refusal(500, "orchlite failed; its log says why.", "InternalError")
