"""The endpoints `workspaces/…` and `connections/…`, as the platform's clients use them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest

from orchlite import Client, __version__
from orchlite.rest.accounts import OWNER

_SECRET = "hunter2"


def test_the_configuration_is_what_a_client_reads_first(api: Any) -> None:
    response = api.request("GET", "/v1/api/config")
    assert (response.status_code, response.json()) == (200, {"default_arch": "x86", "orchlite": __version__})


class TestWorkspaces:
    def test_are_created_and_listed_oldest_first(self, api: Any, client: Client) -> None:
        connection_id = api.call("workspaces/create", workspace_name="ml-models")
        assert connection_id == {"workspace_id": client.get_workspace("ml-models").id()}
        listed = api.call("workspaces/list", user_id=None)["workspaces"]
        assert [one["name"] for one in listed] == ["default", "ml-models"]
        assert {name: listed[1][name] for name in ("id", "archived", "models", "pipelines")} == {
            "id": connection_id["workspace_id"],
            "archived": False,
            "models": [],
            "pipelines": [],
        }
        assert datetime.fromisoformat(listed[1]["created_at"]) == client.get_workspace("ml-models").created_at()
        assert uuid.UUID(listed[1]["created_by"])

    def test_need_no_body_to_be_listed(self, api: Any) -> None:
        assert api.request("POST", "/v1/api/workspaces/list").json() == api.call("workspaces/list")

    def test_may_have_underscores_in_their_names(self, api: Any, client: Client) -> None:
        api.call("workspaces/create", workspace_name="with_underscore")
        assert client.get_workspace("with_underscore").name() == "with_underscore"

    def test_that_exist_are_refused_as_on_the_platform(self, api: Any) -> None:
        found = api.refusal(400, "workspaces/create", workspace_name="default")
        assert (found["kind"], found["error"]) == ("Conflict", found["msg"])

    def test_belong_to_the_owner(self, api: Any) -> None:
        [user] = api.call("workspaces/list_users", workspace_id=1)["users"]
        assert user == {"user_id": OWNER.user_id, "user_type": "OWNER"}
        assert api.call("workspaces/add_user", workspace_id=1, email=OWNER.email, url="http://localhost:3000", user_type="OWNER") == {}
        assert api.call("workspaces/add_user", workspace_id=1, user_id=OWNER.user_id, user_type=None) == {}
        assert api.call("workspaces/list_users", workspace_id=1)["users"] == [user]

    @pytest.mark.parametrize("user", [{}, {"email": "nobody@example.com"}, {"user_id": "nobody", "email": OWNER.email}], ids=repr)
    def test_take_no_user_who_does_not_exist(self, shared_api: Any, user: dict[str, str]) -> None:
        found = shared_api.refusal(404, "workspaces/add_user", workspace_id=1, **user)
        assert found["details"] == {"user_id": user.get("user_id", user.get("email", ""))}

    @pytest.mark.parametrize("path", ["workspaces/list_users", "workspaces/add_user"])
    def test_that_do_not_exist_have_no_users(self, shared_api: Any, path: str) -> None:
        assert "workspace" in shared_api.refusal(404, path, workspace_id=99, user_id=OWNER.user_id)["msg"]

    @pytest.mark.parametrize("name", ["", "9lives", "two words", "x" * 64, "a\0", None, 5, ["a"]], ids=repr)
    def test_with_a_bad_name_are_refused(self, shared_api: Any, name: object) -> None:
        found = shared_api.refusal(400, "workspaces/create", workspace_name=name)
        assert found["details"]["argument"] in ("name", "workspace_name")
        assert len(shared_api.call("workspaces/list")["workspaces"]) == 1


class TestConnections:
    @pytest.fixture
    def connection_id(self, api: Any) -> str:
        found: str = api.call("connections/create", name="warehouse", type="postgres", details={"password": _SECRET, "port": 5432})["id"]
        return found

    def test_are_created_and_found_by_name_and_id(self, api: Any, client: Client, connection_id: str) -> None:
        shown = api.call("connections/get", name="warehouse")
        created_at = shown.pop("created_at")
        assert shown == {
            "id": connection_id,
            "name": "warehouse",
            "type": "postgres",
            "details": {"password": _SECRET, "port": 5432},
            "workspace_names": [],
        }
        assert datetime.fromisoformat(created_at) == client.get_connection("warehouse").created_at()
        assert api.call("connections/get_by_id", id=connection_id) == {**shown, "created_at": created_at}

    def test_may_have_no_details(self, api: Any) -> None:
        api.call("connections/create", name="bare", type="none", details=None)
        assert api.call("connections/get", name="bare")["details"] == {}

    def test_of_a_workspace_or_all_are_listed_oldest_first(self, api: Any, client: Client, connection_id: str) -> None:
        bucket = api.call("connections/create", name="bucket", type="s3")["id"]
        assert api.call("connections/add_to_workspace", workspace_id=1, connection_id=bucket) == {"id": bucket}
        assert api.call("connections/add_to_workspace", workspace_id=1, connection_id=bucket) == {"id": bucket}
        everything = api.call("connections/list")["connections"]
        assert [(one["id"], one["workspace_names"]) for one in everything] == [(connection_id, []), (bucket, ["default"])]
        assert api.call("connections/list", workspace_id=None)["connections"] == everything
        assert api.call("connections/list", workspace_id=1)["connections"] == everything[1:]
        assert api.request("POST", "/v1/api/connections/list").json()["connections"] == everything
        assert api.call("connections/remove_from_workspace", 204, workspace_id=1, connection_id=bucket) is None
        assert api.call("connections/remove_from_workspace", 204, workspace_id=1, connection_id=bucket) is None
        assert api.call("connections/list", workspace_id=1) == {"connections": []}

    def test_are_deleted_by_name(self, api: Any, client: Client, connection_id: str) -> None:
        assert api.call("connections/delete", 204, name="warehouse") is None
        assert client.list_connections() == []
        api.refusal(404, "connections/delete", name="warehouse")

    def test_with_a_name_in_use_are_a_conflict(self, api: Any, connection_id: str) -> None:
        found = api.refusal(409, "connections/create", name="warehouse", type="other", details={"password": "x-secret"})
        assert found["kind"] == "Conflict"
        assert "x-secret" not in str(found)
        assert api.call("connections/get", name="warehouse")["type"] == "postgres"

    @pytest.mark.parametrize(
        ("fields", "argument"),
        [
            ({"name": ""}, "name"),
            ({"name": None}, "name"),
            ({"type": 5}, "type"),
            ({"type": "\0"}, "type"),
            ({"details": _SECRET}, "details"),
            ({"details": {"password": _SECRET + "\ud800"}}, "details"),
            ({"details": {"password": _SECRET * 200_000}}, "details"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_that_are_invalid_are_refused_without_showing_secrets(self, shared_api: Any, fields: dict[str, Any], argument: str) -> None:
        found = shared_api.refusal(400, "connections/create", **{"name": "n", "type": "t", **fields})
        assert found["details"]["argument"] == argument
        assert _SECRET not in str(found)
        assert shared_api.call("connections/list") == {"connections": []}

    def test_that_do_not_exist_are_not_found(self, api: Any, connection_id: str) -> None:
        missing_id = "00000000-0000-4000-8000-000000000000"
        assert "connection" in api.refusal(404, "connections/get", name="absent")["msg"]
        assert "connection" in api.refusal(404, "connections/get_by_id", id=missing_id)["msg"]
        assert "workspace" in api.refusal(404, "connections/list", workspace_id=99)["msg"]
        for verb in ("add_to_workspace", "remove_from_workspace"):
            assert "connection" in api.refusal(404, f"connections/{verb}", workspace_id=1, connection_id=missing_id)["msg"]
            assert "workspace" in api.refusal(404, f"connections/{verb}", workspace_id=99, connection_id=connection_id)["msg"]
