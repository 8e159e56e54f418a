"""What the endpoints share: how a JSON body is read, and what is at hand while a request is answered."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from orchlite.core.errors import BadArgument
from orchlite.rest import request_models
from orchlite.rest.errors import Refused
from orchlite.rest.queries import StoreView
from orchlite.rest.serializers import Dialect, dialect_of


class JsonRoute(APIRoute):
    """An endpoint whose body is JSON: whatever is none is refused in our words."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's, but for the request that it is given."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await answer(_JsonRequest(request.scope, request.receive))

        return handle


class _JsonRequest(Request):
    async def json(self) -> Any:
        try:
            return request_models.parsed(await self.body())
        except BadArgument as error:
            raise Refused(error) from None  # any other exception would be FastAPI's to put into words


def _view(request: Request) -> StoreView:
    view: StoreView = request.app.state.view
    return view


# Both are `async`, so that FastAPI needs no thread to ask for them.


async def _given_view(request: Request) -> StoreView:
    return _view(request)


async def _given_dialect(request: Request) -> Dialect:
    return dialect_of(request.headers.get("user-agent"), request.app.state.compatibility)


View = Annotated[StoreView, Depends(_given_view)]
Reader = Annotated[Dialect, Depends(_given_dialect)]
