"""The platform's REST API as an ASGI application over one client: its parts, put together."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from orchlite.core.arguments import checked_choice
from orchlite.core.settings import MEBIBYTE
from orchlite.core.version import VERSION
from orchlite.rest import authentication, connections, errors, graphql_endpoint, orchestrations, tasks, workspaces
from orchlite.rest.queries import StoreView
from orchlite.rest.serializers import COMPATIBILITIES

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from orchlite.client.client import Client
    from orchlite.rest.accounts import Accounts
    from orchlite.rest.serializers import Compatibility

_ROUTERS = (orchestrations.uploads, orchestrations.router, tasks.router, workspaces.router, connections.router)
_AROUND_BYTES = MEBIBYTE
"""For what stands around an uploaded file, or around arguments."""
_ESCAPED = 6
"""JSON may write a letter as six: `\\u0041`."""


def application(
    client: Client, *, token: str, hosts: Collection[str] = (), compatibility: Compatibility | None = None, accounts: Accounts | None = None
) -> ASGIApp:
    """The platform's REST API over a client, which stays the caller's to close. Any ASGI server can run it, or a test without one.

    token: what every request must bring.
    hosts: names under which it is reached, besides those of this machine.
    compatibility: `"2023"` answers everybody in the words that clients of 2023 know, `"2026"` nobody; by default the client tells.
    accounts: who may log in with a name and a password.

    Raises:
        BadArgument: an argument is refused.
    """
    limits = StoreView(client).limits
    return authentication.Guard(
        _routed(client, compatibility, accounts),
        token=token,
        hosts=hosts,
        limit_bytes=limits.upload_bytes + _AROUND_BYTES,
        document_limit_bytes=_ESCAPED * max(limits.arguments_bytes, limits.details_bytes) + _AROUND_BYTES,
        accounts=accounts,
    )


def _routed(client: Client, compatibility: Compatibility | None, accounts: Accounts | None) -> FastAPI:
    """Everything but the guard."""
    app = _Described(
        title="orchlite",
        version=VERSION,
        docs_url=None,  # these pages load scripts from the net
        redoc_url=None,
        redirect_slashes=False,  # the platform's clients follow none
        responses=errors.DOCUMENTED,
    )
    app.state.view = StoreView(client)
    app.state.compatibility = None if compatibility is None else checked_choice(compatibility, "compatibility", COMPATIBILITIES)
    for router in (*_ROUTERS, graphql_endpoint.router(client), authentication.router(accounts, client)):
        app.include_router(router)
    errors.install(app)
    return app


class _Described(FastAPI):
    """FastAPI, whose document says how requests are refused here: with 400, in one shape."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            errors.describe(super().openapi())
        return super().openapi()
