"""Connections as the store keeps them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from orchlite.core.errors import Conflict, NotFound
from orchlite.core.records import ConnectionRow
from orchlite.store.database import Database
from orchlite.store.memory import Memory

AddConnection = Callable[..., ConnectionRow]


@pytest.fixture
def add_connection(memory: Memory, now: datetime) -> AddConnection:
    """Store a connection: `add_connection("warehouse")`, with `details` where they matter, `seconds` later than the others."""

    def add(name: str, details: str = "{}", *, seconds: int = 0) -> ConnectionRow:
        row = ConnectionRow(str(uuid.uuid4()), name, "sql", details, now + timedelta(seconds=seconds))
        memory.connections.insert(row)
        return row

    return add


def test_a_connection_is_read_as_it_was_written(memory: Memory, add_connection: AddConnection) -> None:
    written = add_connection("warehouse", '{"password": "März 📈"}')
    assert memory.connections.get(written.connection_id) == memory.connections.named("warehouse") == written


def test_a_name_is_taken_once(memory: Memory, add_connection: AddConnection) -> None:
    first = add_connection("warehouse")
    with pytest.raises(Conflict, match="'warehouse' is there already") as refusal:
        add_connection("warehouse")
    assert refusal.value.details == {"name": "warehouse"}
    assert memory.connections.all() == [first]
    assert len(memory.events.after(0)) == 1


def test_names_that_differ_by_case_are_two(memory: Memory, add_connection: AddConnection) -> None:
    rows = [add_connection("warehouse"), add_connection("Warehouse", seconds=1)]
    assert memory.connections.all() == rows


def test_many_threads_that_want_one_name_get_it_once(memory: Memory, add_connection: AddConnection) -> None:
    created: list[str] = []

    def create() -> None:
        with suppress(Conflict):
            created.append(add_connection("warehouse").connection_id)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.connection_id for row in memory.connections.all()] == created


def test_they_are_listed_oldest_first(memory: Memory, add_connection: AddConnection) -> None:
    rows = [add_connection("c", seconds=2), add_connection("a"), add_connection("b", seconds=1), add_connection("d", seconds=2)]
    for row in rows:
        memory.connections.add_to_workspace(row.connection_id, 1)
    assert [row.name for row in memory.connections.all()] == ["a", "b", "c", "d"]
    assert memory.connections.of_workspace(1) == memory.connections.all()


def test_a_workspace_lists_what_was_added_to_it(memory: Memory, add_connection: AddConnection, now: datetime) -> None:
    row, other = add_connection("warehouse"), memory.workspaces.create("other", now)
    assert memory.connections.of_workspace(1) == []
    for workspace_id in (other.workspace_id, 1, 1):
        memory.connections.add_to_workspace(row.connection_id, workspace_id)
    assert memory.connections.of_workspace(1) == memory.connections.of_workspace(other.workspace_id) == [row]
    assert memory.connections.workspace_names(row.connection_id) == ["default", "other"]


def test_what_is_removed_from_a_workspace_stays_elsewhere(memory: Memory, add_connection: AddConnection, now: datetime) -> None:
    row, other = add_connection("warehouse"), memory.workspaces.create("other", now)
    for workspace_id in (1, other.workspace_id):
        memory.connections.add_to_workspace(row.connection_id, workspace_id)
    for _ in range(2):
        memory.connections.remove_from_workspace(row.connection_id, 1)
    assert memory.connections.of_workspace(1) == []
    assert memory.connections.workspace_names(row.connection_id) == ["other"]
    assert memory.connections.all() == [row]


def test_what_is_deleted_is_gone_from_every_workspace(
    memory: Memory, database: Database, add_connection: AddConnection, now: datetime
) -> None:
    row, kept = add_connection("warehouse"), add_connection("kept")
    for connection in (row, kept):
        memory.connections.add_to_workspace(connection.connection_id, 1)
    memory.connections.delete(row.connection_id, now)
    assert memory.connections.all() == memory.connections.of_workspace(1) == [kept]
    assert database.rows("PRAGMA foreign_key_check") == []
    assert len(database.rows("SELECT * FROM workspace_connections")) == 1


def test_a_name_is_free_again_after_the_deletion(memory: Memory, add_connection: AddConnection, now: datetime) -> None:
    first = add_connection("warehouse")
    memory.connections.delete(first.connection_id, now)
    second = add_connection("warehouse")
    assert memory.connections.named("warehouse") == second


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda memory, now: memory.connections.get("absent"), id="get"),
        pytest.param(lambda memory, now: memory.connections.named("absent"), id="named"),
        pytest.param(lambda memory, now: memory.connections.delete("absent", now), id="delete"),
        pytest.param(lambda memory, now: memory.connections.add_to_workspace("absent", 1), id="add to a workspace"),
    ],
)
def test_one_that_is_not_there_is_not_found(memory: Memory, now: datetime, use: Callable[[Memory, datetime], object]) -> None:
    with pytest.raises(NotFound, match=r"'absent'.*list_connections\(\)"):
        use(memory, now)
    assert memory.events.after(0) == []


def test_an_event_says_when_one_came_and_went_and_what_its_name_was(memory: Memory, add_connection: AddConnection, now: datetime) -> None:
    row, later = add_connection("warehouse", '{"password": "hunter2"}'), now + timedelta(days=1)
    memory.connections.add_to_workspace(row.connection_id, 1)
    memory.connections.delete(row.connection_id, later)
    came, went = memory.events.after(0)
    assert (came.kind, came.object_id, came.was, came.became, came.at) == ("connection", row.connection_id, None, "created", now)
    assert (went.kind, went.object_id, went.was, went.became, went.at) == ("connection", row.connection_id, None, "deleted", later)
    assert came.reason == went.reason == "its name is 'warehouse'"
    assert "hunter2" not in repr((came, went))


def test_the_record_does_not_show_its_details(add_connection: AddConnection) -> None:
    row = add_connection("warehouse", '{"password": "hunter2"}')
    assert "warehouse" in repr(row)
    assert "hunter2" not in f"{row!r} {row} {[row]}"
