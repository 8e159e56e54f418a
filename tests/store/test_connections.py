"""Connections in the store."""

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
from orchlite.store.store import Store

AddConnection = Callable[..., ConnectionRow]


@pytest.fixture
def add_connection(store: Store, now: datetime) -> AddConnection:
    """Insert a connection: `add_connection("warehouse")`, optionally with `details`, and created `seconds` later than the others."""

    def add(name: str, details: str = "{}", *, seconds: int = 0) -> ConnectionRow:
        row = ConnectionRow(str(uuid.uuid4()), name, "sql", details, now + timedelta(seconds=seconds))
        store.connections.insert(row)
        return row

    return add


def test_a_connection_is_read_as_it_was_written(store: Store, add_connection: AddConnection) -> None:
    written = add_connection("warehouse", '{"password": "März 📈"}')
    assert store.connections.get(written.connection_id) == store.connections.named("warehouse") == written


def test_a_name_exists_once(store: Store, add_connection: AddConnection) -> None:
    first = add_connection("warehouse")
    with pytest.raises(Conflict, match="'warehouse' exists already") as refusal:
        add_connection("warehouse")
    assert refusal.value.details == {"name": "warehouse"}
    assert store.connections.all() == [first]
    assert len(store.events.after(0)) == 1


def test_names_that_differ_by_case_are_two(store: Store, add_connection: AddConnection) -> None:
    rows = [add_connection("warehouse"), add_connection("Warehouse", seconds=1)]
    assert store.connections.all() == rows


def test_a_name_that_many_threads_insert_at_once_is_inserted_once(store: Store, add_connection: AddConnection) -> None:
    created: list[str] = []

    def create() -> None:
        with suppress(Conflict):
            created.append(add_connection("warehouse").connection_id)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.connection_id for row in store.connections.all()] == created


def test_they_are_listed_oldest_first(store: Store, add_connection: AddConnection) -> None:
    rows = [add_connection("c", seconds=2), add_connection("a"), add_connection("b", seconds=1), add_connection("d", seconds=2)]
    for row in rows:
        store.connections.add_to_workspace(row.connection_id, 1)
    assert [row.name for row in store.connections.all()] == ["a", "b", "c", "d"]
    assert store.connections.of_workspace(1) == store.connections.all()


def test_a_workspace_lists_what_was_added_to_it(store: Store, add_connection: AddConnection, now: datetime) -> None:
    row, other = add_connection("warehouse"), store.workspaces.create("other", now)
    assert store.connections.of_workspace(1) == []
    for workspace_id in (other.workspace_id, 1, 1):
        store.connections.add_to_workspace(row.connection_id, workspace_id)
    assert store.connections.of_workspace(1) == store.connections.of_workspace(other.workspace_id) == [row]
    assert store.connections.workspace_names(row.connection_id) == ["default", "other"]


def test_removal_from_a_workspace_leaves_the_others(store: Store, add_connection: AddConnection, now: datetime) -> None:
    row, other = add_connection("warehouse"), store.workspaces.create("other", now)
    for workspace_id in (1, other.workspace_id):
        store.connections.add_to_workspace(row.connection_id, workspace_id)
    for _ in range(2):
        store.connections.remove_from_workspace(row.connection_id, 1)
    assert store.connections.of_workspace(1) == []
    assert store.connections.workspace_names(row.connection_id) == ["other"]
    assert store.connections.all() == [row]


def test_deletion_removes_it_from_every_workspace(store: Store, database: Database, add_connection: AddConnection, now: datetime) -> None:
    row, kept = add_connection("warehouse"), add_connection("kept")
    for connection in (row, kept):
        store.connections.add_to_workspace(connection.connection_id, 1)
    store.connections.delete(row.connection_id, now)
    assert store.connections.all() == store.connections.of_workspace(1) == [kept]
    assert database.rows("PRAGMA foreign_key_check") == []
    assert len(database.rows("SELECT * FROM workspace_connections")) == 1


def test_a_name_is_free_again_after_the_deletion(store: Store, add_connection: AddConnection, now: datetime) -> None:
    first = add_connection("warehouse")
    store.connections.delete(first.connection_id, now)
    second = add_connection("warehouse")
    assert store.connections.named("warehouse") == second


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda store, now: store.connections.get("absent"), id="get"),
        pytest.param(lambda store, now: store.connections.named("absent"), id="named"),
        pytest.param(lambda store, now: store.connections.delete("absent", now), id="delete"),
        pytest.param(lambda store, now: store.connections.add_to_workspace("absent", 1), id="add to a workspace"),
    ],
)
def test_a_missing_one_is_not_found(store: Store, now: datetime, use: Callable[[Store, datetime], object]) -> None:
    with pytest.raises(NotFound, match=r"'absent'.*list_connections\(\)"):
        use(store, now)
    assert store.events.after(0) == []


def test_creation_and_deletion_are_events_with_its_name(store: Store, add_connection: AddConnection, now: datetime) -> None:
    row, later = add_connection("warehouse", '{"password": "hunter2"}'), now + timedelta(days=1)
    store.connections.add_to_workspace(row.connection_id, 1)
    store.connections.delete(row.connection_id, later)
    came, went = store.events.after(0)
    assert (came.kind, came.object_id, came.was, came.became, came.at) == ("connection", row.connection_id, None, "created", now)
    assert (went.kind, went.object_id, went.was, went.became, went.at) == ("connection", row.connection_id, None, "deleted", later)
    assert came.reason == went.reason == "its name is 'warehouse'"
    assert "hunter2" not in repr((came, went))


def test_the_record_does_not_show_its_details(add_connection: AddConnection) -> None:
    row = add_connection("warehouse", '{"password": "hunter2"}')
    assert "warehouse" in repr(row)
    assert "hunter2" not in f"{row!r} {row} {[row]}"
