"""What the endpoints share: how a JSON body is read, and the dependencies that FastAPI injects."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.routing import APIRoute

from orchlite.core.errors import BadArgument
from orchlite.inference.selection import ALL, METADATA, Selection
from orchlite.rest import request_models
from orchlite.rest.accounts import ACCOUNT_KEY, Account, Accounts
from orchlite.rest.data_formats import groups, is_old
from orchlite.rest.errors import HTTPError
from orchlite.rest.model_queries import ModelQueries
from orchlite.rest.pipeline_queries import PipelineQueries
from orchlite.rest.queries import StoreQueries
from orchlite.rest.serializers import Dialect, dialect_of

_EVERYTHING = (ALL, METADATA)
"""What a client gets that asks for nothing in particular; the SDK always sends `*`, which leaves the metadata out."""


class JsonRoute(APIRoute):
    """A route whose body is JSON; any other body is refused with one of our error responses."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, called with a request that parses JSON strictly."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_JsonRequest(request.scope, request.receive))

        return handle


class _JsonRequest(Request):
    async def json(self) -> Any:
        try:
            return request_models.parse_json(await self.body())
        except BadArgument as error:
            raise HTTPError(error) from None  # FastAPI would replace the message of any other exception


# All are `async`, so that FastAPI calls them without a thread.


async def _queries(request: Request) -> StoreQueries:
    queries: StoreQueries = request.app.state.queries
    return queries


async def _models(request: Request) -> ModelQueries:
    models: ModelQueries = request.app.state.models
    return models


async def _pipelines(request: Request) -> PipelineQueries:
    pipelines: PipelineQueries = request.app.state.pipelines
    return pipelines


async def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


async def _dialect(request: Request) -> Dialect:
    return dialect_of(request.headers.get("user-agent"), request.app.state.compatibility)


async def _old_data(request: Request) -> bool:
    return is_old(request.headers.get("user-agent"), request.app.state.compatibility)


async def _sees_details(request: Request) -> bool:
    account: Account | None = request.scope.get(ACCOUNT_KEY)
    return account is None or account.connections == "shown"


Queries = Annotated[StoreQueries, Depends(_queries)]
Models = Annotated[ModelQueries, Depends(_models)]
Pipelines = Annotated[PipelineQueries, Depends(_pipelines)]
Users = Annotated[Accounts, Depends(_accounts)]
ClientDialect = Annotated[Dialect, Depends(_dialect)]
OldData = Annotated[bool, Depends(_old_data)]
"""Whether the client expects data in the formats of 2023."""


async def _selection(
    old: OldData,
    dataset: Annotated[list[str] | None, Query(alias="dataset[]")] = None,
    exclude: Annotated[list[str] | None, Query(alias="dataset.exclude[]")] = None,
    separator: Annotated[str | None, Query(alias="dataset.separator")] = None,
) -> Selection:
    return Selection(groups(dataset or _EVERYTHING, old=old), groups(exclude, old=old), separator)


Selected = Annotated[Selection, Depends(_selection)]
"""The columns that the request's query selects."""
SeesDetails = Annotated[bool, Depends(_sees_details)]
"""Whether the request's account may see the details of connections."""
