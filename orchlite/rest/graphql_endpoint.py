"""`POST /v1/graphql`: the few queries that the platform's clients send besides REST calls."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from orchlite.rest.dependencies import Models, Pipelines, Queries

router = APIRouter(tags=["graphql"])


class GraphQLRequest(BaseModel):
    """A query and the values of its variables."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - GraphQL over HTTP's name


# Not `async`: it waits for the store, so FastAPI runs it in a thread.
@router.post("/v1/graphql")
def graphql(body: GraphQLRequest, queries: Queries, models: Models, pipelines: Pipelines) -> dict[str, Any]:
    """Execute a query. Errors are in `errors`, and the status is 200, as clients of GraphQL expect."""
    from orchlite.rest.graphql_resolvers import RootResolvers, execute_query

    return execute_query(RootResolvers(queries, models, pipelines), body.query, body.variables, body.operationName)
