"""Workspaces in the store."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest

from orchlite.core.errors import Conflict, NotFound
from orchlite.store.store import Store


def test_ids_are_integers_from_one_on(store: Store, now: datetime) -> None:
    created = [store.workspaces.create(name, now).workspace_id for name in ("second", "third")]
    assert created == [2, 3]


def test_a_workspace_is_read_as_it_was_written(store: Store, now: datetime) -> None:
    written = store.workspaces.create("ml", now)
    assert store.workspaces.get(written.workspace_id) == store.workspaces.find("ml") == written
    assert (written.name, written.created_at, written.archived) == ("ml", now, False)


def test_a_name_exists_once(store: Store, now: datetime) -> None:
    with pytest.raises(Conflict, match="'default'") as refusal:
        store.workspaces.create("default", now)
    assert refusal.value.details["name"] == "default"
    assert len(store.workspaces.all()) == 1


def test_names_that_differ_by_case_are_two(store: Store, now: datetime) -> None:
    store.workspaces.create("Default", now)
    assert [workspace.name for workspace in store.workspaces.all()] == ["default", "Default"]


def test_find_or_create_finds_what_is_there(store: Store, now: datetime) -> None:
    assert store.workspaces.find_or_create("default", now) == store.workspaces.get(1)


def test_a_workspace_that_many_threads_need_at_once_is_created_once(store: Store, now: datetime) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(store.workspaces.find_or_create("shared", now).workspace_id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 8


def test_an_unknown_id_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="99") as refusal:
        store.workspaces.get(99)
    assert refusal.value.details["workspace_id"] == 99


def test_an_unknown_name_is_none(store: Store) -> None:
    assert store.workspaces.find("absent") is None
