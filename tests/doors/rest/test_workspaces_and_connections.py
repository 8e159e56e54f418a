"""The endpoints `workspaces/…` and `connections/…`, as the platform's clients use them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest

from orchlite import Client, __version__

_SECRET = "hunter2"


def test_a_client_is_told_what_it_asks_first(api: Any) -> None:
    response = api.request("GET", "/v1/api/config")
    assert (response.status_code, response.json()) == (200, {"default_arch": "x86", "orchlite": __version__})


class TestWorkspaces:
    def test_are_created_and_listed_oldest_first(self, api: Any, client: Client) -> None:
        made = api.ask("workspaces/create", workspace_name="ml-models")
        assert made == {"workspace_id": client.get_workspace("ml-models").id()}
        listed = api.ask("workspaces/list", user_id=None)["workspaces"]
        assert [one["name"] for one in listed] == ["default", "ml-models"]
        assert {name: listed[1][name] for name in ("id", "archived", "models", "pipelines")} == {
            "id": made["workspace_id"],
            "archived": False,
            "models": [],
            "pipelines": [],
        }
        assert datetime.fromisoformat(listed[1]["created_at"]) == client.get_workspace("ml-models").created_at()
        assert uuid.UUID(listed[1]["created_by"])

    def test_need_no_body_to_be_listed(self, api: Any) -> None:
        assert api.request("POST", "/v1/api/workspaces/list").json() == api.ask("workspaces/list")

    def test_take_underscores_as_scripts_write_them(self, api: Any, client: Client) -> None:
        api.ask("workspaces/create", workspace_name="with_underscore")
        assert client.get_workspace("with_underscore").name() == "with_underscore"

    def test_that_are_there_are_a_conflict(self, api: Any) -> None:
        assert api.refusal(409, "workspaces/create", workspace_name="default")["error"] == "Conflict"

    @pytest.mark.parametrize("name", ["", "9lives", "two words", "x" * 64, "a\0", None, 5, ["a"]], ids=repr)
    def test_with_a_bad_name_are_refused(self, settled: Any, name: object) -> None:
        found = settled.refusal(400, "workspaces/create", workspace_name=name)
        assert found["details"]["argument"] in ("name", "workspace_name")
        assert len(settled.ask("workspaces/list")["workspaces"]) == 1


class TestConnections:
    @pytest.fixture
    def made(self, api: Any) -> str:
        found: str = api.ask("connections/create", name="warehouse", type="postgres", details={"password": _SECRET, "port": 5432})["id"]
        return found

    def test_are_created_and_found_by_name_and_id(self, api: Any, client: Client, made: str) -> None:
        shown = api.ask("connections/get", name="warehouse")
        created_at = shown.pop("created_at")
        assert shown == {
            "id": made,
            "name": "warehouse",
            "type": "postgres",
            "details": {"password": _SECRET, "port": 5432},
            "workspace_names": [],
        }
        assert datetime.fromisoformat(created_at) == client.get_connection("warehouse").created_at()
        assert api.ask("connections/get_by_id", id=made) == {**shown, "created_at": created_at}

    def test_may_have_no_details(self, api: Any) -> None:
        api.ask("connections/create", name="bare", type="none", details=None)
        assert api.ask("connections/get", name="bare")["details"] == {}

    def test_are_listed_oldest_first_those_of_a_workspace_or_all(self, api: Any, client: Client, made: str) -> None:
        bucket = api.ask("connections/create", name="bucket", type="s3")["id"]
        assert api.ask("connections/add_to_workspace", workspace_id=1, connection_id=bucket) == {"id": bucket}
        assert api.ask("connections/add_to_workspace", workspace_id=1, connection_id=bucket) == {"id": bucket}
        everything = api.ask("connections/list")["connections"]
        assert [(one["id"], one["workspace_names"]) for one in everything] == [(made, []), (bucket, ["default"])]
        assert api.ask("connections/list", workspace_id=None)["connections"] == everything
        assert api.ask("connections/list", workspace_id=1)["connections"] == everything[1:]
        assert api.request("POST", "/v1/api/connections/list").json()["connections"] == everything
        assert api.ask("connections/remove_from_workspace", 204, workspace_id=1, connection_id=bucket) is None
        assert api.ask("connections/remove_from_workspace", 204, workspace_id=1, connection_id=bucket) is None
        assert api.ask("connections/list", workspace_id=1) == {"connections": []}

    def test_are_deleted_by_name(self, api: Any, client: Client, made: str) -> None:
        assert api.ask("connections/delete", 204, name="warehouse") is None
        assert client.list_connections() == []
        api.refusal(404, "connections/delete", name="warehouse")

    def test_of_a_name_that_is_taken_are_a_conflict(self, api: Any, made: str) -> None:
        found = api.refusal(409, "connections/create", name="warehouse", type="other", details={"password": "x-secret"})
        assert found["error"] == "Conflict"
        assert "x-secret" not in str(found)
        assert api.ask("connections/get", name="warehouse")["type"] == "postgres"

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
    def test_that_cannot_be_meant_are_refused_and_nothing_secret_is_shown(
        self, settled: Any, fields: dict[str, Any], argument: str
    ) -> None:
        found = settled.refusal(400, "connections/create", **{"name": "n", "type": "t", **fields})
        assert found["details"]["argument"] == argument
        assert _SECRET not in str(found)
        assert settled.ask("connections/list") == {"connections": []}

    def test_that_are_not_there_are_not_found(self, api: Any, made: str) -> None:
        nobody = "00000000-0000-4000-8000-000000000000"
        api.refusal(404, "connections/get", name="absent")
        api.refusal(404, "connections/get_by_id", id=nobody)
        api.refusal(404, "connections/list", workspace_id=99)
        for verb in ("add_to_workspace", "remove_from_workspace"):
            api.refusal(404, f"connections/{verb}", workspace_id=1, connection_id=nobody)
            api.refusal(404, f"connections/{verb}", workspace_id=99, connection_id=made)
