"""`POST /v1/graphql`: the few queries that the platform's clients ask beside REST, answered from the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import BaseModel

from orchlite.rest.queries import StoreView

if TYPE_CHECKING:
    from orchlite.client.client import Client


class GraphQLRequest(BaseModel):
    """A query and the values of its variables."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - GraphQL over HTTP's name


def router(client: Client) -> APIRouter:
    """The endpoint, over the store of this client."""
    view = StoreView(client)
    routes = APIRouter(tags=["graphql"])

    # A function without `async`: it waits for the store, and has a thread for that.
    @routes.post("/v1/graphql")
    def graphql(body: GraphQLRequest) -> dict[str, Any]:
        """Answer a query. As GraphQL has it, what is wrong with it stands in `errors`, and the status is 200."""
        from orchlite.rest.graphql_resolvers import Roots, answered

        return answered(Roots(view), body.query, body.variables, body.operationName)

    return routes
