"""GraphQL: the queries of both versions of the SDK, and the limits for hostile queries."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graphql import build_client_schema, get_introspection_query, parse, print_schema, validate

import orchlite
from orchlite.rest.accounts import OWNER

_ORCHESTRATION_2023 = "id name file_name owner_id sha status task_id workspace_id created_at updated_at"
_ORCHESTRATION_2026 = f"{_ORCHESTRATION_2023} image_path created_on_version file_size created_by"
_WORKSPACE = "archived created_at created_by id name users { user_id } pipelines { id }"

_QUERIES = {
    "orchestration, 2023": "query GetOrchestration($id: uuid!) { orchestration_by_pk(id: $id) { FIELDS } }".replace(
        "FIELDS", _ORCHESTRATION_2023
    ),
    "orchestration, 2026": "query GetOrchestration($id: uuid!) { orchestration_by_pk(id: $id) { FIELDS } }".replace(
        "FIELDS", _ORCHESTRATION_2026
    ),
    "workspace, 2023": "query WorkspaceById($id: bigint!) { workspace_by_pk(id: $id) { FIELDS models { id models { id } } } }".replace(
        "FIELDS", _WORKSPACE
    ),
    "workspace, 2026": """query WorkspaceById($id: bigint!) {
        workspace_by_pk(id: $id) { FIELDS models(order_by: {updated_at: desc}) { id models { id } } }
    }""".replace("FIELDS", _WORKSPACE),
    "name of a workspace": "query GetWorkspaceNameById($id: bigint!) { workspace_by_pk(id: $id) { id name } }",
    "default workspace": """query UserDefaultWorkspace($user_id: String = "") {
        user_default_workspace(where: {user_id: {_eq: $user_id}}) { workspace { FIELDS models { models { id } } } }
    }""".replace("FIELDS", _WORKSPACE),
    "new default workspace, 2023": """mutation CreateDefaultUserWorkspace($user_id: String!, $workspace_name: String!, $user_type: String) {
        insert_workspace_one(
            object: {
                name: $workspace_name, created_by: $user_id, users: {data: {user_id: $user_id, user_type: $user_type}}, archived: false,
                user_default_workspaces: {data: {user_id: $user_id}}
            },
            on_conflict: {constraint: workspace_name_key, update_columns: []}
        ) { id }
    }""",
    "new default workspace, 2026": """mutation CreateDefaultUserWorkspace(
        $user_id: String!, $workspace_name: String!, $user_type: String, $user_email: String
    ) {
        insert_workspace_one(
            object: {
                name: $workspace_name, owner_id: $user_id, created_by: $user_email, archived: false,
                users: {data: {user_id: $user_id, user_type: $user_type}}, user_default_workspaces: {data: {user_id: $user_id}}
            },
            on_conflict: {constraint: workspace_name_key, update_columns: []}
        ) { id }
    }""",
    "new workspace": """mutation CreateWorkspaceBare($workspace_name: String!) {
        insert_workspace_one(object: {name: $workspace_name, archived: false}) { id }
    }""",
    "user removed": """mutation DeleteWorkspaceUser($user_id: String!, $workspace_id: bigint!) {
        delete_workspace_users(where: {user_id: {_eq: $user_id}, _and: {workspace_id: {_eq: $workspace_id}}}) { affected_rows }
    }""",
}


def _ask(api: Any, name: str, **variables: Any) -> dict[str, Any]:
    response = api.request("POST", "/v1/graphql", json={"query": _QUERIES.get(name, name), "variables": variables})
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def _data(api: Any, name: str, **variables: Any) -> dict[str, Any]:
    found = _ask(api, name, **variables)
    assert "errors" not in found, found
    data: dict[str, Any] = found["data"]
    return data


def _error(api: Any, name: str, **variables: Any) -> str:
    message: str = _ask(api, name, **variables)["errors"][0]["message"]
    return message


@pytest.mark.parametrize("name", _QUERIES)
def test_the_queries_of_the_sdk_are_valid_by_the_introspected_schema(shared_api: Any, name: str) -> None:
    schema = build_client_schema(_data(shared_api, get_introspection_query()))  # type: ignore[arg-type]
    assert validate(schema, parse(_QUERIES[name])) == []
    assert "type query_root" in print_schema(schema)


@pytest.mark.parametrize("version", ["2023", "2026"])
def test_an_orchestration_is_as_over_rest(api: Any, version: str) -> None:
    orchestration_id = api.orchestration(name="first")
    over_rest = api.call("orchestration/get_by_id", id=orchestration_id)
    found = _data(api, f"orchestration, {version}", id=orchestration_id)["orchestration_by_pk"]
    fields = (_ORCHESTRATION_2023 if version == "2023" else _ORCHESTRATION_2026).split()
    assert found == {field: over_rest[field] for field in fields if field in over_rest} | {field: found[field] for field in fields[-4:]}
    assert (found["name"], found["status"], found["workspace_id"]) == ("first", "ready", 1)


@pytest.mark.parametrize("version", ["2023", "2026"])
def test_a_workspace_has_its_owner_and_neither_models_nor_pipelines(api: Any, client: orchlite.Client, version: str) -> None:
    workspace = client.create_workspace("second")
    assert _data(api, f"workspace, {version}", id=workspace.id())["workspace_by_pk"] == {
        "id": workspace.id(),
        "name": "second",
        "archived": False,
        "created_at": workspace.created_at().isoformat(timespec="microseconds"),
        "created_by": OWNER.user_id,
        "users": [{"user_id": OWNER.user_id}],
        "models": [],
        "pipelines": [],
    }


@pytest.mark.parametrize("name", ["orchestration, 2026", "workspace, 2026"])
def test_a_missing_thing_is_null(shared_api: Any, name: str) -> None:
    unknown: Any = str(uuid.uuid4()) if name.startswith("orch") else 999
    assert list(_data(shared_api, name, id=unknown).values()) == [None]


@pytest.mark.parametrize("variables", [{"user_id": OWNER.user_id}, {"user_id": None}, {}], ids=["known", "null", "absent"])
def test_every_user_starts_in_the_default_workspace(shared_api: Any, variables: dict[str, Any]) -> None:
    (found,) = _data(shared_api, "default workspace", **variables)["user_default_workspace"]
    assert (found["workspace"]["id"], found["workspace"]["name"]) == (1, "default")


@pytest.mark.parametrize("version", ["2023", "2026"])
def test_a_workspace_is_created_once_and_then_found(api: Any, client: orchlite.Client, version: str) -> None:
    fields = {"user_id": "x", "workspace_name": "mine", "user_type": "OWNER"}
    first = _data(api, f"new default workspace, {version}", **fields)
    assert first == {"insert_workspace_one": {"id": client.get_workspace("mine").id()}}
    assert _data(api, f"new default workspace, {version}", **fields) == first


def test_creating_an_existing_workspace_needs_on_conflict(api: Any, client: orchlite.Client) -> None:
    message = _error(api, "new workspace", workspace_name="default")
    assert "exists already" in message
    assert "workspaces/list" in message, "the hint names the endpoint, not the Python method"
    assert "is not a valid name for a workspace" in _error(api, "new workspace", workspace_name="jane@ex.co - Default Workspace")
    assert [workspace.name() for workspace in client.list_workspaces()] == ["default"]


def test_removing_users_has_no_effect(shared_api: Any) -> None:
    assert _data(shared_api, "user removed", user_id="x", workspace_id=1) == {"delete_workspace_users": {"affected_rows": 0}}


@pytest.mark.parametrize("value", [True, "1", 1.5, 2**63, None, [1]], ids=repr)
def test_the_id_of_a_workspace_is_an_integer(shared_api: Any, value: Any) -> None:
    assert _ask(shared_api, "workspace, 2026", id=value)["errors"]


@pytest.mark.parametrize("value", [7, None, ["x"], "x" * 1000], ids=["number", "null", "list", "long"])
def test_the_id_of_an_orchestration_is_a_string(shared_api: Any, value: Any) -> None:
    assert _ask(shared_api, "orchestration, 2026", id=value)["errors"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "Syntax Error"),
        ("{", "Syntax Error"),
        ("{ nothing }", "Cannot query field 'nothing'"),
        ("{ workspace_by_pk { id } }", "is required"),
        ("{ a" * 30 + "}" * 30, "nested 30 levels deep"),
        ("[" * 10_000, "nested 10000 levels deep"),
        ("{ __typename " + "a " * 2100 + "}", "tokens"),
        ("{ __typename } #" + "x" * 20_000, "20016 characters"),
        ("{ __schema { types " + "{ fields { type " * 6 + "{ name }" + "} }" * 6 + "} }", "introspection depth"),
        ("query { ...a } fragment a on query_root { ...a }", "Cannot spread fragment"),
    ],
    ids=["empty", "cut", "unknown", "no argument", "deep", "deeper", "long", "comment", "introspection", "cycle"],
)
def test_a_query_that_is_wrong_or_too_large_gets_the_reason(shared_api: Any, query: str, message: str) -> None:
    found = _ask(shared_api, query)
    assert message in found["errors"][0]["message"]
    assert not found.get("data")


@pytest.mark.parametrize(
    ("body", "argument"),
    [
        pytest.param({}, "the body", id="empty"),
        pytest.param({"query": 7}, "the body", id="number"),
        pytest.param({"query": "{ __typename }", "variables": []}, "variables", id="list of variables"),
        pytest.param([], "the body", id="list"),
        pytest.param(None, "the body", id="null"),
        pytest.param("text", "the body", id="text"),
    ],
)
def test_an_invalid_request_is_refused_as_by_rest(shared_api: Any, refused: Any, body: Any, argument: str) -> None:
    found = refused(shared_api.request("POST", "/v1/graphql", json=body), 400)
    assert (found["kind"], found["details"]) == ("BadArgument", {"argument": argument})


def test_the_token_may_be_bare_as_the_sdk_sends_it(shared_api: Any, refused: Any) -> None:
    fields = {"json": {"query": "{ __typename }"}, "token": None}
    bare = shared_api.request("POST", "/v1/graphql", headers={"Authorization": "the-token-of-tests"}, **fields)
    assert bare.json() == {"data": {"__typename": "query_root"}}
    refused(shared_api.request("POST", "/v1/graphql", headers={"Authorization": "definitely_a_bearer_token_str"}, **fields), 401)


def test_an_exception_of_the_library_is_named(tmp_path: Path, api_of: Callable[..., Any]) -> None:
    closed = orchlite.Client(tmp_path / "store")
    closed.close()
    found = _ask(api_of(closed), "workspace, 2026", id=1)
    assert found["data"] == {"workspace_by_pk": None}
    assert found["errors"][0]["extensions"] == {"error": "Closed"}
