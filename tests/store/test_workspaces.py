"""Workspaces as the store keeps them."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest

from orchlite.core.errors import Conflict, NotFound
from orchlite.store.memory import Memory


def test_ids_are_integers_from_one_on(memory: Memory, now: datetime) -> None:
    created = [memory.workspaces.create(name, now).workspace_id for name in ("second", "third")]
    assert created == [2, 3]


def test_a_workspace_is_read_as_it_was_written(memory: Memory, now: datetime) -> None:
    written = memory.workspaces.create("ml", now)
    assert memory.workspaces.get(written.workspace_id) == memory.workspaces.find("ml") == written
    assert (written.name, written.created_at, written.archived) == ("ml", now, False)


def test_a_name_is_taken_once(memory: Memory, now: datetime) -> None:
    with pytest.raises(Conflict, match="'default'") as refusal:
        memory.workspaces.create("default", now)
    assert refusal.value.details["name"] == "default"
    assert len(memory.workspaces.all()) == 1


def test_names_that_differ_by_case_are_two(memory: Memory, now: datetime) -> None:
    memory.workspaces.create("Default", now)
    assert [workspace.name for workspace in memory.workspaces.all()] == ["default", "Default"]


def test_find_or_create_finds_what_is_there(memory: Memory, now: datetime) -> None:
    assert memory.workspaces.find_or_create("default", now) == memory.workspaces.get(1)


def test_many_threads_that_need_one_workspace_make_it_once(memory: Memory, now: datetime) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(memory.workspaces.find_or_create("shared", now).workspace_id)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 8


def test_an_unknown_id_is_not_found(memory: Memory) -> None:
    with pytest.raises(NotFound, match="99") as refusal:
        memory.workspaces.get(99)
    assert refusal.value.details["workspace_id"] == 99


def test_an_unknown_name_is_none(memory: Memory) -> None:
    assert memory.workspaces.find("absent") is None
