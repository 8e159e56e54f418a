"""A client of the SDK on a store of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchlite.sdk.wallaroo import Client, _store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the store will be that clients open."""
    monkeypatch.setenv("ORCHLITE_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def wl(store: Path, empty_database: Path) -> Iterator[Any]:
    """A client outside a task, where it is an ordinary one of orchlite."""
    store.mkdir()
    shutil.copy(empty_database, store / "store.sqlite")
    client = Client()
    yield client
    for task in client.list_tasks():
        task.kill()
    _store.close()
