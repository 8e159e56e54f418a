"""Whatever the platform's SDK asks for is served, or refused by name: never a bare 404, nor an error of GraphQL's own."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import build_client_schema, get_introspection_query, parse, validate

from orchlite.rest.graphql_resolvers import RootResolvers
from tests.rest.sdk_calls import CONCRETE_PATHS, PATHS, REFUSED_QUERIES

_REQUESTS = [request for path in sorted(PATHS) for request in CONCRETE_PATHS.get(path, [("POST", path)])]


@pytest.fixture(scope="module")
def served(shared_api: Any) -> set[tuple[str, str]]:
    """The methods and addresses that the OpenAPI document has."""
    paths = shared_api.request("GET", "/openapi.json").json()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


@pytest.fixture(scope="module")
def schema(shared_api: Any) -> Any:
    """The schema as clients see it."""
    found = shared_api.request("POST", "/v1/graphql", json={"query": get_introspection_query()}).json()
    return build_client_schema(found["data"])


def sentence(kind: str, name: str) -> str:
    return f"orchlite does not have the platform's {kind} {name}. The manual's page on REST lists what it has."


@pytest.mark.slow
def test_every_request_of_the_sdk_is_served_or_refused_by_name(shared_api: Any, refused: Any, served: set[tuple[str, str]]) -> None:
    refusals = [request for request in _REQUESTS if request not in served]
    assert len(refusals) > 60
    for method, path in refusals:
        found = refused(shared_api.request(method, path, json={}), 501)
        assert (found["kind"], found["details"], found["error"]) == (
            "NotEmulated",
            {"path": path},
            sentence("endpoint", f"{method} {path}"),
        )


def test_a_body_of_any_type_is_refused_by_the_name_of_the_endpoint(shared_api: Any, refused: Any) -> None:
    upload = {"content": b"x" * 100, "headers": {"Content-Type": "application/octet-stream"}}
    assert refused(shared_api.request("POST", "/v1/api/models/upload_stream", **upload), 501)["kind"] == "NotEmulated"


def test_what_is_absent_is_known_only_to_who_has_a_token(shared_api: Any, refused: Any) -> None:
    absent, served = (shared_api.request("POST", f"/v1/api/{path}", json={}, token=None) for path in ("users/invite", "workspaces/list"))
    assert refused(absent, 401) == refused(served, 401)


@pytest.mark.parametrize("root", REFUSED_QUERIES)
def test_a_query_for_what_is_absent_is_valid_and_refused_by_name(shared_api: Any, schema: Any, root: str) -> None:
    query = REFUSED_QUERIES[root]
    assert validate(schema, parse(query)) == []
    found = shared_api.request("POST", "/v1/graphql", json={"query": query, "variables": {"id": 7} if "$id" in query else {}}).json()
    assert found["errors"][0]["message"] == sentence("GraphQL field", root)
    assert found["errors"][0]["extensions"] == {"error": "NotEmulated"}


def test_every_root_of_the_schema_is_resolved_or_refused(schema: Any) -> None:
    roots = schema.query_type.fields.keys() | schema.mutation_type.fields.keys()
    assert {root for root in roots if not hasattr(RootResolvers, root)} == REFUSED_QUERIES.keys()
