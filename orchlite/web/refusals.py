"""Pages for what is not there, what was refused, and what failed."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response

from orchlite.core.errors import Closed, InvalidInput, MissingExtra, NotFound, OrchliteError, StorageFull, StoreBusy
from orchlite.web.language import PAGE
from orchlite.web.rendering import rendered
from orchlite.web.session import SESSION_KEY

_log = logging.getLogger(__name__)
_STATUSES: tuple[tuple[type[OrchliteError], int], ...] = (
    (NotFound, 404),
    (InvalidInput, 400),
    (StorageFull, 507),
    (StoreBusy, 503),
    (Closed, 503),
    (MissingExtra, 501),
)


def refusal(request: Request, status: int, message: str, hint: str = "") -> Response:
    """Return a page that says what was refused, and the way out."""
    session = request.scope.get(SESSION_KEY)
    return HTMLResponse(rendered("refusal.html", session=session, status=status, message=message, hint=hint), status)


def install_handlers(app: Starlette) -> None:
    """Turn exceptions of handlers into pages."""
    app.add_exception_handler(OrchliteError, _of_orchlite)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(ClientDisconnect, _cut_off)
    app.add_exception_handler(Exception, _unexpected)


def _of_orchlite(request: Request, error: Exception) -> Response:
    assert isinstance(error, OrchliteError)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 409)
    return refusal(request, status, PAGE.spell(error.message), PAGE.spell(error.hint or ""))


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = "There is no such page." if error.status_code == 404 else f"{error.detail.rstrip('.')}."
    response = refusal(request, error.status_code, message)
    response.headers.update(error.headers or {})
    return response


def _cut_off(request: Request, _error: Exception) -> Response:
    """Return what is sent to a client that has gone, or whose request took too long. It is not logged: anyone can cause it."""
    return refusal(request, 400, "The request was cut off.", "Nothing was changed; send it again.")


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %r failed", request.method, request.scope["path"], exc_info=error)
    return refusal(request, 500, "This page could not be made.", "The server's log says why.")
