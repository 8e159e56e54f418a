"""The files of uploaded bundles: stored once, durably, and never in part."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.bundles.storage import BundleStorage
from orchlite.core.errors import BadArgument, BadBundle, StorageFull

_SHA = "0" * 64
_LIMIT_BYTES = 100


@pytest.fixture
def storage(tmp_path: Path) -> BundleStorage:
    (tmp_path / "bundles").mkdir()
    return BundleStorage(tmp_path / "bundles")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of what is synced to disk, in order."""
    kinds: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: kinds.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"))
    return kinds


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("make", [lambda folder: b"content", lambda folder: _file(folder)], ids=["bytes", "path"])
def test_an_upload_becomes_the_bundle_of_its_sha(storage: BundleStorage, tmp_path: Path, make: Callable[[Path], bytes | Path]) -> None:
    with storage.receive(make(tmp_path), _LIMIT_BYTES) as upload:
        storage.add(upload, _SHA)
    assert storage.path(_SHA).read_bytes() == b"content"
    assert stat.S_IMODE(storage.path(_SHA).stat().st_mode) == 0o600
    assert _names(tmp_path / "bundles") == [f"{_SHA}.zip"]


def _file(folder: Path) -> Path:
    (folder / "given.zip").write_bytes(b"content")
    return folder / "given.zip"


def test_an_upload_that_is_not_added_leaves_nothing(storage: BundleStorage, tmp_path: Path) -> None:
    with storage.receive(b"content", _LIMIT_BYTES) as upload:
        assert upload.read_bytes() == b"content"
    assert _names(tmp_path / "bundles") == []


def test_the_content_is_durable_before_its_name_and_the_name_before_the_row(storage: BundleStorage, synced: list[str]) -> None:
    with storage.receive(b"content", _LIMIT_BYTES) as upload:
        assert synced == ["file"]
        storage.add(upload, _SHA)
        assert synced == ["file", "folder"]


def test_the_folder_is_not_synced_again_for_a_stored_bundle(storage: BundleStorage, synced: list[str]) -> None:
    for _ in range(2):
        with storage.receive(b"content", _LIMIT_BYTES) as upload:
            storage.add(upload, _SHA)
    assert synced == ["file", "folder", "file"]


def test_a_store_that_is_not_durable_syncs_nothing(tmp_path: Path, synced: list[str]) -> None:
    storage = BundleStorage(tmp_path, durable=False)
    with storage.receive(b"content", _LIMIT_BYTES) as upload:
        storage.add(upload, _SHA)
    assert synced == []


@pytest.mark.parametrize("make", [lambda folder: b"x" * 101, lambda folder: _large(folder)], ids=["bytes", "path"])
def test_an_upload_above_the_limit_is_refused_before_it_is_copied(
    storage: BundleStorage, tmp_path: Path, make: Callable[[Path], bytes | Path]
) -> None:
    with pytest.raises(BadBundle, match="101 B; the limit is 100 B") as caught, storage.receive(make(tmp_path), _LIMIT_BYTES):
        pytest.fail("it was received")
    assert caught.value.details == {"limit_bytes": 100}
    assert _names(tmp_path / "bundles") == []


def _large(folder: Path) -> Path:
    (folder / "large.zip").write_bytes(b"x" * 101)
    return folder / "large.zip"


@pytest.mark.parametrize(
    ("name", "reason"), [("missing", "No such file"), ("folder", "not a regular file"), ("pipe", "not a regular file")]
)
def test_a_source_that_is_not_a_regular_file_is_refused(storage: BundleStorage, tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadArgument, match=f"{name}' cannot be read: .*{reason}"), storage.receive(tmp_path / name, _LIMIT_BYTES):
        pytest.fail("it was received")


def test_a_full_disk_is_reported_as_such(storage: BundleStorage, tmp_path: Path) -> None:
    with pytest.raises(StorageFull, match=r"is full\. Nothing was stored"), storage.receive(b"content", _LIMIT_BYTES):
        raise OSError(28, "No space left on device")
    assert _names(tmp_path / "bundles") == []


def test_discarding_removes_the_bundle_and_may_be_repeated(storage: BundleStorage) -> None:
    with storage.receive(b"content", _LIMIT_BYTES) as upload:
        storage.add(upload, _SHA)
    storage.discard(_SHA)
    storage.discard(_SHA)
    assert not storage.path(_SHA).exists()
