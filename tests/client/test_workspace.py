"""Workspaces: they decide where uploads go and what lists show."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import pytest

from orchlite import BadArgument, Client, Conflict, NotFound

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]


def test_the_default_one_is_current(client: Client) -> None:
    current = client.get_current_workspace()
    assert (current.id(), current.name()) == (1, "default")
    assert current.created_at().tzinfo is UTC
    assert client.list_workspaces() == [current]
    assert client.get_workspace("default") == current


def test_created_ones_have_integers_as_ids_and_are_not_yet_current(client: Client) -> None:
    created = [client.create_workspace(name) for name in ("ml-models", "Zoo")]
    assert [workspace.id() for workspace in created] == [2, 3]
    assert [workspace.name() for workspace in client.list_workspaces()] == ["default", "ml-models", "Zoo"]
    assert client.get_current_workspace().name() == "default"
    assert client.get_workspace("ml-models") == created[0]
    assert "<td>Zoo</td>" in client.list_workspaces()._repr_html_()


def test_a_name_exists_once(client: Client) -> None:
    client.create_workspace("ml")
    with pytest.raises(Conflict, match="'ml' exists already"):
        client.create_workspace("ml")


@pytest.mark.parametrize("name", ["", "9lives", "two words", "under_score", "x" * 64, "slash/", "nul\0"], ids=repr)
def test_a_bad_name_creates_nothing(client: Client, name: str) -> None:
    with pytest.raises(BadArgument) as refusal:
        client.create_workspace(name)
    assert refusal.value.details["argument"] == "name"
    assert len(client.list_workspaces()) == 1


def test_a_missing_one_is_created_only_on_request(client: Client) -> None:
    with pytest.raises(NotFound, match="create_if_not_exist=True"):
        client.get_workspace("absent")
    created = client.get_workspace("with_underscore", create_if_not_exist=True)
    assert client.get_workspace("with_underscore") == client.get_workspace("with_underscore", create_if_not_exist=True) == created
    assert len(client.list_workspaces()) == 2


def test_uploads_and_lists_use_the_current_one(client: Client, folder: MakeFolder) -> None:
    path = folder("print()")
    here = client.run(path)
    other = client.set_current_workspace(client.create_workspace("other"))
    assert client.get_current_workspace() == other
    assert client.list_orchestrations() == []
    assert client.list_tasks() == []
    there = client.run(path)  # the same bytes, but in another workspace: uploaded again
    [orchestration] = client.list_orchestrations()
    [task] = client.list_tasks()
    assert (orchestration.workspace_id(), task.workspace_id(), task.id()) == (other.id(), other.id(), there.task())
    client.set_current_workspace(client.get_workspace("default"))
    assert [task.id() for task in client.list_tasks()] == [here.task()]


def test_a_task_belongs_to_its_orchestrations_workspace(client: Client, folder: MakeFolder) -> None:
    orchestration = client.upload_orchestration(path=folder("print()"))
    client.set_current_workspace(client.create_workspace("other"))
    assert orchestration.run_once().workspace_id() == 1
    assert client.get_orchestration_by_id(orchestration.id()) == orchestration


def test_each_client_has_its_own_current_one(client: Client, open_client: OpenClient) -> None:
    client.set_current_workspace(client.create_workspace("other"))
    again = open_client()
    assert again.get_current_workspace().name() == "default"
    assert [workspace.name() for workspace in again.list_workspaces()] == ["default", "other"]


@pytest.mark.parametrize("workspace", ["default", 1, None], ids=repr)
def test_only_a_workspace_can_become_current(client: Client, workspace: object) -> None:
    with pytest.raises(BadArgument, match="get_workspace") as refusal:
        client.set_current_workspace(workspace)  # type: ignore[arg-type]
    assert refusal.value.details["argument"] == "workspace"
    assert client.get_current_workspace().name() == "default"
