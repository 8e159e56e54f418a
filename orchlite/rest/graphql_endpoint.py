"""`POST /v1/graphql`: the few queries that the platform's clients send besides REST calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import BaseModel

from orchlite.rest.model_queries import ModelQueries
from orchlite.rest.pipeline_queries import PipelineQueries
from orchlite.rest.queries import StoreQueries

if TYPE_CHECKING:
    from orchlite.client.client import Client


class GraphQLRequest(BaseModel):
    """A query and the values of its variables."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - GraphQL over HTTP's name


def router(client: Client) -> APIRouter:
    """Return the endpoint, over the client's store."""
    queries = StoreQueries(client), ModelQueries(client), PipelineQueries(client)
    routes = APIRouter(tags=["graphql"])

    # Not `async`: it waits for the store, so FastAPI runs it in a thread.
    @routes.post("/v1/graphql")
    def graphql(body: GraphQLRequest) -> dict[str, Any]:
        """Execute a query. Errors are in `errors`, and the status is 200, as clients of GraphQL expect."""
        from orchlite.rest.graphql_resolvers import RootResolvers, execute_query

        return execute_query(RootResolvers(*queries), body.query, body.variables, body.operationName)

    return routes
