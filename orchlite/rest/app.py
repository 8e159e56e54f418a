"""The platform's REST API as an ASGI application over one client."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from orchlite.core.arguments import checked_choice
from orchlite.core.version import VERSION
from orchlite.rest import (
    authentication,
    connections,
    errors,
    graphql_endpoint,
    infer,
    inference_logs,
    models,
    orchestrations,
    pipelines,
    tasks,
    users,
    workspaces,
)
from orchlite.rest.accounts import Accounts
from orchlite.rest.body_rules import rules_for
from orchlite.rest.login import Logins
from orchlite.rest.model_queries import ModelQueries
from orchlite.rest.page_access import MakePage, PageAccess
from orchlite.rest.pipeline_queries import PipelineQueries
from orchlite.rest.queries import StoreQueries
from orchlite.rest.run_tokens import RunTokens
from orchlite.rest.serializers import COMPATIBILITIES

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from orchlite.client.client import Client
    from orchlite.rest.serializers import Compatibility

_ROUTERS = (
    orchestrations.upload_router,
    orchestrations.router,
    tasks.router,
    workspaces.router,
    connections.router,
    models.upload_router,
    models.router,
    pipelines.router,
    infer.router,
    inference_logs.router,
    graphql_endpoint.router,
    users.router,
)


def application(
    client: Client,
    *,
    token: str,
    hosts: Collection[str] = (),
    compatibility: Compatibility | None = None,
    accounts: Accounts | None = None,
    page: MakePage | None = None,
    read_only: bool = False,
) -> ASGIApp:
    """Return the platform's REST API over a client, to be run by any ASGI server. The caller closes the client.

    token: the bearer token that every request must carry, of at least 16 characters.
    hosts: names under which the server is reached, besides those of the loopback interface.
    compatibility: `"2023"` sends every client the statuses that clients of 2023 know, `"2026"` the full set; by default the client's
    User-Agent decides.
    accounts: accounts that may log in with a name and a password.
    page: `orchlite.web.page(client)` adds the page, at `/`.
    read_only: refuse what may change something, except by runs of this store. The page is, too.

    Raises:
        BadArgument: an argument is invalid.
    """
    authentication.checked_token(token)
    return guarded(client, token=token, hosts=hosts, compatibility=compatibility, accounts=accounts, page=page, read_only=read_only)


def guarded(
    client: Client,
    *,
    token: str,
    hosts: Collection[str] = (),
    compatibility: Compatibility | None = None,
    accounts: Accounts | None = None,
    page: MakePage | None = None,
    read_only: bool = False,
) -> ASGIApp:
    """Return what `application` does, also for a short token, which a credentials file of an earlier version may hold."""
    known = accounts or Accounts(secret=token)
    logins = Logins(known)
    access = PageAccess(known, logins, token, has_accounts=accounts is not None, is_read_only=read_only)
    return authentication.Guard(
        _fastapi(client, compatibility, accounts, logins),
        token=token,
        hosts=hosts,
        rules=rules_for(StoreQueries(client).limits),
        accounts=accounts,
        runs=RunTokens(client, token),
        page=None if page is None else page(access),
        read_only=read_only,
    )


def _fastapi(client: Client, compatibility: Compatibility | None, accounts: Accounts | None, logins: Logins) -> FastAPI:
    """Return the application without the guard."""
    app = _DocumentedFastAPI(
        title="orchlite",
        version=VERSION,
        docs_url=None,  # these pages load scripts from the internet
        redoc_url=None,
        redirect_slashes=False,  # the platform's clients do not follow redirects
        responses=errors.RESPONSES,
    )
    app.state.queries = StoreQueries(client)
    app.state.models = ModelQueries(client)
    app.state.pipelines = PipelineQueries(client)
    app.state.compatibility = None if compatibility is None else checked_choice(compatibility, "compatibility", COMPATIBILITIES)
    app.state.accounts = accounts or Accounts()
    app.router.routes.extend(_shared_routes())
    if accounts is not None:
        app.include_router(authentication.router(accounts, logins))
    errors.install_handlers(app)
    return app


@cache
def _shared_routes() -> list[BaseRoute]:
    """Return the routes of every application. FastAPI builds the models of a router again for each inclusion, which takes 50 ms."""
    included = APIRouter(responses=errors.RESPONSES)
    for router in _ROUTERS:
        included.include_router(router)
    return included.routes


class _DocumentedFastAPI(FastAPI):
    """FastAPI, with an OpenAPI document that describes the error responses of this server."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            errors.describe_errors(super().openapi())
        return super().openapi()
