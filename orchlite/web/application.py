"""The page as an ASGI application: its routes, who may see them, and the headers of every response.

It stands behind the server's guard, which has checked the headers Host and Origin of each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from orchlite.web import (
    bundle_uploads,
    failures_page,
    health_page,
    login,
    model_pages,
    nights,
    orchestration_actions,
    orchestration_pages,
    run_files,
    run_log,
    run_page,
    task_actions,
    task_page,
    timeline_page,
)
from orchlite.web.access import Access
from orchlite.web.login_keys import LoginKeys
from orchlite.web.refusals import install_handlers
from orchlite.web.rendering import STATIC
from orchlite.web.session import SESSION_KEY, session_of
from orchlite.web.staged_bundles import StagedBundles
from orchlite.web.threads import PAGE_THREADS
from orchlite.web.visit import Visit
from orchlite.web.visit import page as page_route

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from orchlite.client.client import Client

_MODULES = (
    nights,
    run_page,
    run_log,
    run_files,
    timeline_page,
    task_page,
    task_actions,
    bundle_uploads,
    orchestration_pages,
    orchestration_actions,
    model_pages,
    failures_page,
    health_page,
)
"""The pages. Each module has its `ROUTES`."""

_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not `no-referrer`: with that, browsers send `Origin: null` with our own forms (Fetch, 3.2).
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_UPLOADS = 4
"""How many uploads are received at a time; others wait."""
_KEPT = "private, max-age=31536000, immutable"


def page(client: Client) -> Callable[[Access], ASGIApp]:
    """Return what makes the page of a client's store, given the users of its server: `orchlite.rest.serve(client, page=page(client))`."""
    return lambda access: _application(client, access)


def _application(client: Client, access: Access) -> ASGIApp:
    routes = [route for module in _MODULES for route in module.ROUTES]
    app = Starlette(
        routes=[*login.ROUTES, Mount("/static", StaticFiles(directory=STATIC)), page_route("/version", _version), *routes],
        middleware=[Middleware(_Doorway, access=access)],
    )
    app.router.redirect_slashes = False
    app.state.client, app.state.access = client, access
    app.state.login_keys = LoginKeys()
    app.state.threads, app.state.uploads = asyncio.Semaphore(PAGE_THREADS), asyncio.Semaphore(_UPLOADS)
    app.state.staged_bundles, app.state.examinations = StagedBundles(), health_page.examinations(client)
    install_handlers(app)
    return _Headers(app)


def _version(visit: Visit) -> Response:
    """Return the number of the newest event: a page that was made at another number shows what has changed since."""
    return PlainTextResponse(str(visit.store_version))


class _Doorway:
    """ASGI middleware that asks those to log in who have not, and gives the others their session."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        session = session_of(request, self._access)
        if session is None and not login.is_open(scope["path"]):
            await login.asked_to_log_in(request)(scope, receive, send)
            return
        await self._app({**scope, SESSION_KEY: session}, receive, send)


class _Headers:
    """ASGI middleware that adds the headers by which a browser keeps the page to itself, also to error responses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_static = scope["type"] == "http" and scope["path"].startswith("/static/") and scope["query_string"].startswith(b"v=")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", _KEPT if is_static and message["status"] == 200 else "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)
