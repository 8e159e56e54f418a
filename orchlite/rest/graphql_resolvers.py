"""The resolvers of the GraphQL schema, from the store's rows, and the execution of a query.

The length, the tokens and the nesting of a query are limited before it is parsed. graphql-core takes long to import, so this module is
imported with the first query.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    execute,
    parse,
    validate,
)

from orchlite.core.arguments import checked_label
from orchlite.core.errors import NotFound, OrchliteError
from orchlite.rest import absent, serializers
from orchlite.rest.accounts import OWNER
from orchlite.rest.errors import message_of
from orchlite.rest.graphql_models import ModelRoots, bigint
from orchlite.rest.graphql_schema import SCHEMA
from orchlite.rest.model_queries import ModelQueries
from orchlite.rest.pipeline_queries import PipelineQueries
from orchlite.rest.queries import StoreQueries

_MAX_QUERY_CHARACTERS = 16_384
_MAX_QUERY_TOKENS = 2_000
_MAX_QUERY_DEPTH = 24
_CACHED_QUERIES = 64
_log = logging.getLogger(__name__)


class RootResolvers(ModelRoots):
    """The fields of `query_root` and `mutation_root`: each is resolved by the method of its name."""

    def __init__(self, queries: StoreQueries, models: ModelQueries, pipelines: PipelineQueries) -> None:
        super().__init__(models, pipelines)
        self._queries = queries

    def orchestration_by_pk(self, info: GraphQLResolveInfo[Any], id: Any) -> Mapping[str, Any] | None:  # noqa: A002 - the wire's name
        """Return the orchestration with this id."""
        try:
            return serializers.orchestration(self._queries.orchestration(id))
        except NotFound:
            return None

    def workspace_by_pk(self, info: GraphQLResolveInfo[Any], id: Any) -> Mapping[str, Any] | None:  # noqa: A002 - the wire's name
        """Return the workspace with this id."""
        try:
            return self._nodes.workspace(self._queries.workspace(bigint(id)))
        except NotFound:
            return None

    def user_default_workspace(self, info: GraphQLResolveInfo[Any], where: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
        """Return the default workspace, which is the same for every user."""
        return [{"user_id": OWNER.user_id, "workspace": self._workspace_named("default")}]

    def insert_workspace_one(
        self,
        info: GraphQLResolveInfo[Any],
        object: Mapping[str, Any],  # noqa: A002 - the wire's name
        on_conflict: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        """Create a workspace; with `on_conflict`, return an existing one of this name."""
        name = checked_label(object.get("name"), "name")
        return self._nodes.workspace(self._queries.create_workspace(name)) if on_conflict is None else self._workspace_named(name)

    def delete_workspace_users(self, info: GraphQLResolveInfo[Any], where: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do nothing: every workspace belongs to all users."""
        return {"affected_rows": 0}

    def _workspace_named(self, name: str) -> Mapping[str, Any]:
        workspace = self._queries.client.get_workspace(name, create_if_not_exist=True)
        return self._nodes.workspace(self._queries.workspace(workspace.id()))


def execute_query(resolvers: RootResolvers, query: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> dict[str, Any]:
    """Execute a query and return the response: `data`, and `errors` if there are any."""
    try:
        document = _document(query)
    except GraphQLError as error:
        return {"errors": [error.formatted]}
    if isinstance(document, tuple):
        return {"errors": [error.formatted for error in document]}
    result = execute(_schema(), document, root_value=resolvers, variable_values=dict(variables or {}), operation_name=operation_name)
    assert isinstance(result, ExecutionResult)  # no resolver is asynchronous
    response: dict[str, Any] = {"data": result.data}
    return {**response, "errors": [_formatted(error) for error in result.errors]} if result.errors else response


@lru_cache(_CACHED_QUERIES)
def _document(query: str) -> DocumentNode | tuple[GraphQLError, ...]:
    """Parse and validate a query; return the errors if it is invalid. Cached, because clients repeat a few queries.

    Raises:
        GraphQLError: it is not GraphQL, or too large.
    """
    _check_size(query)
    document = parse(query, max_tokens=_MAX_QUERY_TOKENS)
    return tuple(validate(_schema(), document, max_errors=10)) or document


def _check_size(query: str) -> None:
    # Before parsing, because the parser recurses for every level.
    if len(query) > _MAX_QUERY_CHARACTERS:
        raise GraphQLError(f"The query has {len(query)} characters; the limit is {_MAX_QUERY_CHARACTERS}.")
    depth = deepest = 0
    for character in query:
        depth += (character in "{[(") - (character in "}])")
        deepest = max(deepest, depth)
    if deepest > _MAX_QUERY_DEPTH:
        raise GraphQLError(f"The query is nested {deepest} levels deep; the limit is {_MAX_QUERY_DEPTH}.")


def _formatted(error: GraphQLError) -> dict[str, Any]:
    """Return an error as the response shows it. The details of an unexpected one go to the log only."""
    cause, formatted = error.original_error, dict(error.formatted)
    if isinstance(cause, OrchliteError):
        return {**formatted, "message": message_of(cause), "extensions": {"error": type(cause).__name__}}
    if cause is None or isinstance(cause, GraphQLError):
        return formatted
    _log.error("a GraphQL query failed", exc_info=cause)
    return {**formatted, "message": "orchlite failed; its log says why."}


@cache
def _schema() -> GraphQLSchema:
    schema = build_schema(SCHEMA)
    for root in filter(None, (schema.query_type, schema.mutation_type)):
        for name, field in root.fields.items():
            if not hasattr(RootResolvers, name):
                field.resolve = _refuse
    return schema


def _refuse(resolvers: RootResolvers, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    raise GraphQLError(absent.message("GraphQL field", info.field_name), extensions={"error": absent.KIND})
