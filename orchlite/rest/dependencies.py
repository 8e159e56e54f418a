"""What the endpoints share: how a JSON body is read, and the dependencies that FastAPI injects."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from orchlite.core.errors import BadArgument
from orchlite.rest import request_models
from orchlite.rest.accounts import ACCOUNT_KEY, Account
from orchlite.rest.errors import HTTPError
from orchlite.rest.queries import StoreQueries
from orchlite.rest.serializers import Dialect, dialect_of


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


async def _dialect(request: Request) -> Dialect:
    return dialect_of(request.headers.get("user-agent"), request.app.state.compatibility)


async def _sees_details(request: Request) -> bool:
    account: Account | None = request.scope.get(ACCOUNT_KEY)
    return account is None or account.connections == "shown"


Queries = Annotated[StoreQueries, Depends(_queries)]
ClientDialect = Annotated[Dialect, Depends(_dialect)]
SeesDetails = Annotated[bool, Depends(_sees_details)]
"""Whether the request's account may see the details of connections."""
