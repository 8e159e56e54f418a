"""Error responses: the status, and one JSON shape for all of them, `{"code", "msg", "error", "kind", "details"}`.

The platform's clients read `code` and `msg`; newer ones show `error`, the same text. `kind` is the name of orchlite's exception, and
`details` are its facts. No response repeats the rejected value: arguments and details may be secret.
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
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from typing_extensions import TypedDict

from orchlite.core.errors import (
    BadArgument,
    Closed,
    Conflict,
    InvalidInput,
    MissingExtra,
    NotFound,
    OrchliteError,
    PackagingFailed,
    StorageFull,
    StoreBusy,
)
from orchlite.core.hints import Api, Language
from orchlite.core.text import listed

_log = logging.getLogger(__name__)

_LISTED_FIELDS = 20

_STATUSES: tuple[tuple[type[OrchliteError], int], ...] = (
    (InvalidInput, 400),
    (NotFound, 404),
    (Conflict, 409),
    (PackagingFailed, 409),  # the orchestration has the status `error`, which the request conflicts with
    (StorageFull, 507),
    (StoreBusy, 503),
    (Closed, 503),
    (MissingExtra, 501),
)
LANGUAGE = Language(
    names={
        Api.ALLOW_REMOTE: "allow_remote",
        Api.BACKUP: "a backup",
        Api.CLIENT_PATH: "the store's path",
        Api.EXCLUDE: "exclude",
        Api.GET_WORKSPACE: "workspaces/list",
        Api.INDEX_URLS: "the server's index_urls",
        Api.KILL: "task/kill",
        Api.LIST_CONNECTIONS: "connections/list",
        Api.LIST_MODELS: "models/list",
        Api.LIST_ORCHESTRATIONS: "orchestration/list",
        Api.LIST_PIPELINES: "pipelines/list_pipelines",
        Api.LIST_RUNS: "task/list_task_runs",
        Api.LIST_TASKS: "task/list",
        Api.LIST_WORKSPACES: "workspaces/list",
        Api.PRUNE: "pruning",
        Api.RERUN: "task/run_once",
        Api.RUN_CONTINUOUSLY: "task/run_continuously",
        Api.RUN_SCHEDULED: "task/run_scheduled",
        Api.START: "the server",
        Api.START_ADOPTING: "`orchlite start --adopt-copy` on the server",
        Api.THIRTY_DAYS: "30 days",
        Api.TIMEZONE: "timezone ",
    },
    arguments={"connection_type": "type", "end_datetime": "time.end", "json_args": "json", "start_datetime": "time.start"},
)
"""How error responses name parts of the Python API: by the endpoint or the field that corresponds to them."""


class Refusal(TypedDict):
    """The body of an error response."""

    code: int
    msg: str
    error: str
    """The same text; for a log-in that is refused, the code of RFC 6749."""
    kind: str
    details: dict[str, Any]


_MEANINGS = {
    400: "The request is invalid; nothing was stored",
    401: "The token is missing or wrong",
    403: "The request comes from a foreign web page, or was sent to a foreign host name; or the server is read-only",
    404: "Not found",
    409: "The request conflicts with the current state",
    413: "The body is too large",
    415: "The body has the wrong media type",
    429: "Too many log-ins have failed; `Retry-After` says when to try again",
    500: "orchlite failed",
    501: "orchlite does not have this, or a package that it needs is not installed",
    503: "The store is busy or closed",
    507: "The disk is full; nothing was stored",
}
_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    # Not `"model": Refusal`: FastAPI would build a model for each status of each endpoint, which takes longer than everything else.
    status: {"description": meaning, "content": _CONTENT}
    for status, meaning in _MEANINGS.items()
}
"""Every error response, for the OpenAPI document."""


class HTTPError(HTTPException):
    """An exception of orchlite's with a status of its own, or one that FastAPI would otherwise translate itself."""

    def __init__(self, error: OrchliteError, status: int | None = None) -> None:
        super().__init__(status or status_of(error))
        self.error = error


def status_of(error: OrchliteError) -> int:
    """Return the HTTP status for an exception."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def error_response(status: int, message: str, kind: str, details: Mapping[str, Any] | None = None, *, error: str | None = None) -> Response:
    """Return an error response; `error` is its field of that name, by default the message."""
    return _json(Refusal(code=status, msg=message, error=error or message, kind=kind, details=dict(details or {})))


def _json(content: Refusal) -> Response:
    # json.dumps escapes to ASCII: a message may contain what UTF-8 cannot encode, such as a lone surrogate.
    return Response(json.dumps(content, default=str), content["code"], media_type="application/json")


def message_of(error: OrchliteError) -> str:
    """Return the message of an exception, and its hint, in the language of the REST API."""
    return LANGUAGE.spell(error.args[0])


def response_to(error: OrchliteError, status: int | None = None) -> Response:
    """Return the error response for an exception."""
    return _json(refusal(error, status or status_of(error)))


def refusal(error: OrchliteError, status: int) -> Refusal:
    """Return the body of the error response for an exception. An argument has the name that requests use for it."""
    details = error.details
    if (wire_name := LANGUAGE.arguments.get(details.get("argument", ""))) is not None:
        details = {**details, "argument": wire_name}
    message = message_of(error)
    return Refusal(code=status, msg=message, error=message, kind=type(error).__name__, details=dict(details))


def describe_errors(document: dict[str, Any]) -> None:
    """Replace FastAPI's validation errors in an OpenAPI document, in place, by the error responses of this server."""
    schemas = document["components"]["schemas"]
    schemas["Refusal"] = TypeAdapter(Refusal).json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)


def install_handlers(app: FastAPI) -> None:
    """Turn every exception into an error response."""
    app.add_exception_handler(OrchliteError, _handle_orchlite_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    # FastAPI's HTTPException is a subclass; bodies that cannot be parsed raise Starlette's.
    app.add_exception_handler(StarletteHTTPException, _handle_http_error)
    app.add_exception_handler(404, _handle_http_error)
    app.add_exception_handler(405, _handle_http_error)
    app.add_exception_handler(ClientDisconnect, _handle_disconnect)
    app.add_exception_handler(Exception, _handle_unexpected)


def validation_error(errors: Sequence[Mapping[str, Any]]) -> BadArgument:
    """Return an exception for pydantic's errors: the first field, the reason, and the names of the other invalid fields."""
    field, *others = dict.fromkeys(map(_field, errors))
    hint = None if not others else f"Also invalid: {listed([f'{other!r:.80}' for other in others], _LISTED_FIELDS)}."
    # Never the error's "input": it may be secret.
    return BadArgument(f"{field!r:.80}: {errors[0]['msg']}.", hint=hint, argument=field)


def _field(error: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in error["loc"] if part not in ("body", "query")) or "the body"


def _handle_orchlite_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OrchliteError)
    if status_of(error) == 500:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return response_to(error)


def _handle_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return response_to(validation_error(error.errors()))


def _handle_http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPError):
        return response_to(error.error, error.status_code)
    status = getattr(error, "status_code", 500)
    phrase = HTTPStatus(status).phrase
    response = error_response(status, f"{phrase}.", phrase.title().replace(" ", ""))
    response.headers.update(getattr(error, "headers", None) or {})
    return response


def _handle_disconnect(request: Request, error: Exception) -> Response:
    return response_to(BadArgument("The request was cut off.", hint="Nothing was stored; send it again."))


def _handle_unexpected(request: Request, error: Exception) -> Response:
    return error_response(500, "orchlite failed; its log says why.", "InternalError")
