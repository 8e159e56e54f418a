"""A visit: what a handler knows about the request that it responds to. And the routes that call handlers with one."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orchlite.client.client import Client, engine_of
from orchlite.client.workspace import Workspace
from orchlite.core.system_errors import shortages
from orchlite.engine.engine import Engine
from orchlite.web.refusals import refusal
from orchlite.web.rendering import rendered
from orchlite.web.session import SESSION_KEY, TOKEN_FIELD, Session
from orchlite.web.threads import in_thread


class Visit(NamedTuple):
    """A request of someone who has logged in."""

    request: Request
    client: Client
    session: Session
    is_read_only: bool
    workspace: Workspace | None
    """The one that the page shows; None: all."""
    store_version: int
    """The number of the newest event before anything was read for the page: what has happened since then, it may not show."""
    form: FormData = FormData()
    """What was posted, if this is an action."""

    @property
    def engine(self) -> Engine:
        """The engine behind the client."""
        return engine_of(self.client)

    @property
    def workspace_id(self) -> int | None:
        """The id of the workspace that the page shows; None: all."""
        return None if self.workspace is None else self.workspace.id()

    @property
    def now(self) -> datetime:
        """The time by the store's clock."""
        return self.engine.context.clock.now()

    @property
    def here(self) -> str:
        """The path and the query of the page."""
        return address_of(self.request)

    def query(self, name: str, default: str = "") -> str:
        """Return a parameter of the address."""
        return self.request.query_params.get(name, default)

    def number(self, name: str, default: int) -> int:
        """Return a parameter of the address that is a number from 0 to 999999999; `default` for any other text."""
        text = self.query(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default

    def field(self, name: str) -> str:
        """Return a field of the form; empty without it."""
        value = self.form.get(name, "")
        return value if isinstance(value, str) else ""

    def url(self, path: str, **query: object) -> str:
        """Return the address of another page, which shows the same workspace."""
        parameters = {name: value for name, value in query.items() if value not in (None, "")}
        if self.workspace is not None:
            parameters.setdefault("workspace", self.workspace.name())
        return f"{path}?{urlencode(parameters)}" if parameters else path

    def render(self, template: str, **values: object) -> Response:
        """Return a page: a template of `templates/` that extends `layout.html`, with these values and what the layout needs.

        Every template also has `visit`, `now`, `here`, `url`, `workspace_names` by id, and `store_version`, which changes with the status
        of anything.
        """
        return HTMLResponse(
            rendered(
                template,
                visit=self,
                session=self.session,
                url=self.url,
                now=self.now,
                here=self.here,
                workspace_names={one.id(): one.name() for one in self.client.list_workspaces()},
                store_version=self.store_version,
                **values,
            )
        )


Handler = Callable[[Visit], Response]


def page(path: str, handler: Handler) -> Route:
    """Return the route of a page: the handler runs in a thread."""

    async def endpoint(request: Request) -> Response:
        return await in_thread(request, lambda: handler(_visit(request)))

    return Route(path, endpoint, methods=["GET"])


def action(path: str, handler: Handler, *, max_files: int = 0, only_reads: bool = False) -> Route:
    """Return the route of a form that changes something: the handler runs in a thread, if the form has the session's token.

    Refused with 403 otherwise, and if the server is read-only, unless this `only_reads` the store; with 400 if the form has more than
    `max_files` files.
    """
    return Route(path, _checking_form(handler, max_files, only_reads=only_reads), methods=["POST"])


def back(visit: Visit, default: str = "/") -> Response:
    """Return the response of an action that leads to the page its form was on, the field `back`, else to `default`."""
    return see(local_path(visit.field("back")) or visit.url(default))


def see(path: str) -> Response:
    """Return the response of an action that leads to a page of this server."""
    return RedirectResponse(path, status_code=303)


def address_of(request: Request) -> str:
    """Return the path and the query of a request as they were sent, percent-encoded."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return b"?".join([path, query] if query else [path]).decode("latin-1")


def local_path(text: str) -> str | None:
    r"""Return a path of this server with its query; None for anything that a browser may take for another address.

    Browsers read `\` as `/`, and drop line ends and tabs: `/\evil.example` and `/\t/evil.example` are addresses of another host.
    """
    if not text.startswith("/") or text.startswith("//") or not all("!" <= character <= "~" for character in text) or "\\" in text:
        return None
    parts = urlsplit(text)
    return None if parts.scheme or parts.netloc else text


def _checking_form(handler: Handler, max_files: int, *, only_reads: bool) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        visit = await in_thread(request, lambda: _visit(request))
        if visit.is_read_only and not only_reads:
            return refusal(request, 403, "This server is read-only.", "It was started with --read-only.")
        # Larger files of a form are kept on disk meanwhile, and each takes a descriptor, which runs need: few uploads at a time.
        async with request.app.state.uploads if max_files else nullcontext():
            with shortages("The form cannot be received"):
                form = await request.form(max_files=max_files)
            try:
                sent = request.headers.get("x-form-token") or form.get(TOKEN_FIELD)
                if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), visit.session.form_token.encode()):
                    return refusal(request, 403, "The form is of another session.", "Load the page again, and repeat what you did.")
                return await in_thread(request, lambda: handler(visit._replace(form=form)))
            finally:
                await form.close()

    return endpoint


def _newest_event(client: Client) -> int:
    """Return the number of the store's newest event; 0 if there is none."""
    newest = engine_of(client).store.events.newest(1)
    return newest[0].event_id if newest else 0


def _visit(request: Request) -> Visit:
    state, client = request.app.state, request.app.state.client
    name = request.query_params.get("workspace")
    return Visit(
        request=request,
        client=client,
        session=request.scope[SESSION_KEY],
        is_read_only=state.access.is_read_only,
        workspace=client.get_workspace(name) if name else None,
        store_version=_newest_event(client),
    )
