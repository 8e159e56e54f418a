"""What a restore refuses: an occupied target, and what is not a complete, undamaged backup that this version knows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite
from orchlite.operations.backup import backup

MakeFolder = Callable[..., Path]


@pytest.fixture
def source(client: orchlite.Client, folder: MakeFolder, tmp_path: Path) -> Path:
    client.run(folder("print(1)"))
    return backup(client._engine.context, tmp_path / "backup")


def _change_manifest(source: Path, **changes: object) -> None:
    manifest = json.loads((source / "backup.json").read_text())
    (source / "backup.json").write_text(json.dumps({**manifest, **changes}))


def _refused(source: Path, into: Path, kind: type[orchlite.OrchliteError], words: str) -> None:
    before = sorted(into.parent.iterdir())
    with pytest.raises(kind, match=words):
        orchlite.Client.restore(source, into)
    assert sorted(into.parent.iterdir()) == before


def test_is_refused_into_a_folder_that_is_not_empty(source: Path, client: orchlite.Client) -> None:
    _refused(source, client.path(), orchlite.Conflict, "exists already")
    assert client.list_tasks()


def test_is_refused_into_a_file(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _refused(source, tmp_path / "file", orchlite.Conflict, "exists already")


@pytest.mark.parametrize("text", [None, "", "[]", '{"format": "x"}'], ids=["no manifest", "an empty one", "a list", "no numbers"])
def test_is_refused_from_what_is_not_a_backup(source: Path, tmp_path: Path, text: str | None) -> None:
    (source / "backup.json").unlink()
    if text is not None:
        (source / "backup.json").write_text(text)
    _refused(source, tmp_path / "into", orchlite.BadArgument, "is not a backup")


def test_is_refused_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _refused(tmp_path / "file", tmp_path / "into", orchlite.BadArgument, "is not a backup")


@pytest.mark.parametrize("changes", [{"format": 2}, {"schema": 10_000}], ids=["another form", "a newer schema"])
def test_is_refused_from_a_newer_backup(source: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    _change_manifest(source, **changes, orchlite="99.0")
    _refused(source, tmp_path / "into", orchlite.StoreTooNew, r"orchlite 99\.0")


@pytest.mark.parametrize("name", ["store.sqlite", "bundles", "runs"])
def test_is_refused_from_a_backup_with_a_missing_part(source: Path, tmp_path: Path, name: str) -> None:
    (source / name).rename(tmp_path / "away")
    _refused(source, tmp_path / "into", orchlite.StoreDamaged, f"it has no {name}")


@pytest.mark.parametrize("keep_bytes", [0, 4096, 20_000], ids=["emptied", "one page", "cut off"])
def test_is_refused_from_a_backup_with_a_damaged_database(source: Path, tmp_path: Path, keep_bytes: int) -> None:
    os.truncate(source / "store.sqlite", keep_bytes)
    _refused(source, tmp_path / "into", orchlite.StoreDamaged, "is damaged")


def test_an_empty_folder_is_accepted(source: Path, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    orchlite.Client.restore(source, tmp_path / "into")
    with orchlite.Client(tmp_path / "into") as restored:
        assert len(restored.list_tasks()) == 1
