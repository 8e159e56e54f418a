"""What the fields of the GraphQL schema are, from the store's rows, and how a query for them is carried out.

A query is bounded before it is read: its length, its words, how deep it nests. graphql-core takes long to import, so this file is
imported with the first query.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

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
from orchlite.rest import serializers
from orchlite.rest.accounts import OWNER
from orchlite.rest.graphql_schema import SCHEMA
from orchlite.rest.queries import StoreView

if TYPE_CHECKING:
    from orchlite.core.records import WorkspaceRow

_QUERY_CHARACTERS = 16_384
_QUERY_WORDS = 2_000
_QUERY_DEPTH = 24
_KNOWN_QUERIES = 64
_BIGINT = 2**63
_log = logging.getLogger(__name__)


class Roots:
    """What the fields of `query_root` and `mutation_root` are: each a method of its name."""

    def __init__(self, view: StoreView) -> None:
        """Answer from this store."""
        self._view = view

    def orchestration_by_pk(self, info: GraphQLResolveInfo[Any], id: Any) -> Mapping[str, Any] | None:  # noqa: A002 - the wire's name
        """The orchestration with this id."""
        try:
            return serializers.orchestration(self._view.orchestration(id))
        except NotFound:
            return None

    def workspace_by_pk(self, info: GraphQLResolveInfo[Any], id: Any) -> Mapping[str, Any] | None:  # noqa: A002 - the wire's name
        """The workspace with this id."""
        try:
            return _workspace(self._view.workspace(_bigint(id)))
        except NotFound:
            return None

    def user_default_workspace(self, info: GraphQLResolveInfo[Any], where: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
        """The same for everybody."""
        return [{"user_id": OWNER.user_id, "workspace": self._workspace_named("default")}]

    def insert_workspace_one(
        self,
        info: GraphQLResolveInfo[Any],
        object: Mapping[str, Any],  # noqa: A002 - the wire's name
        on_conflict: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        """A new workspace; where a conflict is provided for, the one of that name."""
        name = checked_label(object.get("name"), "name")
        return _workspace(self._view.create_workspace(name)) if on_conflict is None else self._workspace_named(name)

    def delete_workspace_users(self, info: GraphQLResolveInfo[Any], where: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing, since every workspace is everybody's."""
        return {"affected_rows": 0}

    def _workspace_named(self, name: str) -> Mapping[str, Any]:
        found = self._view.client.get_workspace(name, create_if_not_exist=True)
        return _workspace(self._view.workspace(found.id()))


def _workspace(row: WorkspaceRow) -> Mapping[str, Any]:
    return {**serializers.workspace(row), "users": [{"user_id": OWNER.user_id}]}


def answered(roots: Roots, query: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> dict[str, Any]:
    """The answer to a query: `data`, and in `errors` what was wrong."""
    try:
        document = _document(query)
    except GraphQLError as error:
        return {"errors": [error.formatted]}
    if isinstance(document, tuple):
        return {"errors": [error.formatted for error in document]}
    result = execute(_schema(), document, root_value=roots, variable_values=dict(variables or {}), operation_name=operation_name)
    assert isinstance(result, ExecutionResult)  # nothing here is awaited
    answer: dict[str, Any] = {"data": result.data}
    return {**answer, "errors": [_told(error) for error in result.errors]} if result.errors else answer


@lru_cache(_KNOWN_QUERIES)
def _document(query: str) -> DocumentNode | tuple[GraphQLError, ...]:
    """The query, read and checked against the schema, or what is wrong with it. Clients send the same few again and again.

    Raises:
        GraphQLError: it is no GraphQL, or too large.
    """
    _check_size(query)
    document = parse(query, max_tokens=_QUERY_WORDS)
    return tuple(validate(_schema(), document, max_errors=10)) or document


def _check_size(query: str) -> None:
    # Before anything reads it: the reader calls itself for every level.
    if len(query) > _QUERY_CHARACTERS:
        raise GraphQLError(f"The query has {len(query)} characters, the limit is {_QUERY_CHARACTERS}.")
    depth = deepest = 0
    for character in query:
        depth += (character in "{[(") - (character in "}])")
        deepest = max(deepest, depth)
    if deepest > _QUERY_DEPTH:
        raise GraphQLError(f"The query nests {deepest} levels deep, the limit is {_QUERY_DEPTH}.")


def _told(error: GraphQLError) -> dict[str, Any]:
    """What a client is told of an error: of one that nobody foresaw, that there was one."""
    cause, told = error.original_error, dict(error.formatted)
    if isinstance(cause, OrchliteError):
        return {**told, "message": str(cause), "extensions": {"error": type(cause).__name__}}
    if cause is None or isinstance(cause, GraphQLError):
        return told
    _log.error("a GraphQL query failed", exc_info=cause)
    return {**told, "message": "orchlite failed; its log says why."}


@cache
def _schema() -> GraphQLSchema:
    return build_schema(SCHEMA)


def _bigint(value: Any) -> int:
    # Here and not in the scalar, whose methods have other names in every minor version of graphql-core.
    if isinstance(value, bool) or not isinstance(value, int) or not -_BIGINT <= value < _BIGINT:
        raise GraphQLError("A bigint is a whole number of 64 bits.")
    return value
