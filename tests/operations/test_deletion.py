"""Deleting several orchestrations: all of them with everything that belongs to them, or none."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite import Client, Conflict, NotFound, Orchestration

MakeFolder = Callable[..., Path]


def _files(client: Client) -> set[str]:
    """Return the names of all bundles and run folders."""
    return {path.name for name in ("bundles", "runs") for path in (client.path() / name).iterdir()}


@pytest.fixture
def orchestrations(client: Client, folder: MakeFolder) -> list[Orchestration]:
    """Two orchestrations with a run each, the second with the same bytes as a third."""
    paths = [folder("print(1)"), folder("print(2)")]
    made = [client.upload_orchestration(path=path).wait() for path in (*paths, paths[1])]
    for orchestration in made[:2]:
        orchestration.run_once().wait()
    return made


def test_all_are_deleted_with_their_runs_and_unshared_bytes(client: Client, orchestrations: list[Orchestration]) -> None:
    first, second, third = orchestrations
    client._engine.delete(first.id(), second.id())
    assert client.list_orchestrations() == [third]
    assert _files(client) == {f"{third.sha()}.zip", third.task().last_runs()[0].id()}
    client._engine.delete(third.id())
    assert _files(client) == set()


@pytest.mark.parametrize("dry_run", [True, False])
def test_none_is_deleted_if_one_has_an_active_task(client: Client, orchestrations: list[Orchestration], dry_run: bool) -> None:
    before = _files(client)
    task = orchestrations[1].run_scheduled("nightly", "0 0 1 1 *")
    with pytest.raises(Conflict, match="None was deleted") as refusal:
        client._engine.delete(*(one.id() for one in orchestrations), dry_run=dry_run)
    assert refusal.value.details["task_ids"] == [task.id()]
    assert (client.list_orchestrations(), _files(client)) == (orchestrations, before)


def test_none_is_deleted_if_one_does_not_exist(client: Client, orchestrations: list[Orchestration]) -> None:
    before = _files(client)
    with pytest.raises(NotFound):
        client._engine.delete(orchestrations[0].id(), str(uuid.uuid4()))
    assert (client.list_orchestrations(), _files(client)) == (orchestrations, before)


def test_a_dry_run_deletes_nothing(client: Client, orchestrations: list[Orchestration]) -> None:
    before = _files(client)
    client._engine.delete(*(one.id() for one in orchestrations), dry_run=True)
    assert (client.list_orchestrations(), _files(client)) == (orchestrations, before)
