"""Opening a store: a failure leaves nothing behind, only its account may read its files, and missing files are reported."""

from __future__ import annotations

import stat
import tempfile
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from orchlite import BadArgument, Client, DeviceFailed, OrchliteError, StoreDamaged
from orchlite.core.clock import SystemClock

MakeFolder = Callable[..., Path]


class _BrokenClock(SystemClock):
    def now(self) -> datetime:
        raise OSError("no clock")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which this test's temporary stores are created."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class TestATemporaryStoreThatCannotBeOpened:
    def test_leaves_no_folder_where_the_cache_is_a_file(self, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("ORCHLITE_CACHE", str(tmp_path / "file"))
        with pytest.raises(BadArgument, match="is a file"):
            Client.temporary()
        assert list(temporary.iterdir()) == []

    def test_leaves_no_folder_where_its_first_row_cannot_be_written(self, temporary: Path) -> None:
        with pytest.raises(OSError, match="no clock"):
            Client.temporary(clock=_BrokenClock())
        assert list(temporary.iterdir()) == []


class TestAStoreThatCannotBeOpened:
    def test_keeps_no_host_lock(self, tmp_path: Path) -> None:
        (tmp_path / "store" / "hosts" / "a folder.lock").mkdir(parents=True)
        with pytest.raises(DeviceFailed, match="directory"):
            Client(tmp_path / "store")
        assert [path.name for path in (tmp_path / "store" / "hosts").iterdir()] == ["a folder.lock"]

    def test_keeps_none_if_the_clock_raises_either(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="no clock"):
            Client(tmp_path / "store", clock=_BrokenClock())
        assert list((tmp_path / "store" / "hosts").iterdir()) == []


def test_only_this_account_may_read_the_stores_files_even_in_a_shared_folder(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    store.chmod(0o755)
    with Client(store) as client:
        client.create_workspace("mine")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.iterdir() if path.is_file()}
        assert {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm"} <= set(modes)
        assert set(modes.values()) == {0o600}


def test_a_store_whose_file_was_deleted_says_so_and_creates_no_new_one(tmp_path: Path) -> None:
    told: list[Exception] = []

    def use(client: Client) -> None:
        for call in (client.list_tasks, lambda: client.create_workspace("mine")):
            try:
                call()
            except OrchliteError as error:
                told.append(error)

    client = Client(tmp_path / "store")
    for path in (tmp_path / "store").glob("store.sqlite*"):
        path.unlink()
    thread = threading.Thread(target=use, args=(client,))  # another thread opens the file again
    thread.start()
    thread.join()
    client.close(drain=False)
    assert [type(error) for error in told] == [StoreDamaged] * 2
    assert str(tmp_path / "store") in str(told[0])
    assert list((tmp_path / "store").glob("store.sqlite*")) == []
