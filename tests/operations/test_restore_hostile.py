"""A backup that was tampered with: what it names or links to outside of itself is refused, before anything is written."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import orchlite
from orchlite.core.folders import StoreFolder

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "main.py").write_text("open('made', 'w').close()")
    with orchlite.Client(folder / "store") as client:
        client.run(folder / "bundle")
        return client.backup(folder / "backup")


@pytest.fixture
def backup(good: Path, tmp_path: Path) -> Path:
    copied: Path = shutil.copytree(good, tmp_path / "backup")
    return copied


def _check_refused(backup: Path, what: str) -> None:
    target = backup.with_name("restored")
    with pytest.raises(orchlite.StoreDamaged, match=what):
        orchlite.Client.restore(backup, target)
    assert [path.name for path in backup.parent.iterdir() if path.name.startswith("restored")] == []


_CHANGES = {
    "a run id": ("UPDATE runs SET run_id = '../../outside' WHERE number = 2", "a run id is '../../outside'"),
    "a task id": ("UPDATE tasks SET task_id = '..' WHERE kind = 'once'", "a task id is '..'"),
    "an orchestration id": ("UPDATE orchestrations SET orchestration_id = 'x/y'", "an? orchestration id is 'x/y'"),
    "an id in capitals": ("UPDATE runs SET run_id = upper(run_id)", "a run id is"),
    "a hash": ("UPDATE orchestrations SET sha = '../../secret'", r"SHA-256 is '../../secret'"),
    "a hash that is too long": ("UPDATE orchestrations SET sha = sha || '/..'", "SHA-256 is"),
    "an environment": ("UPDATE orchestrations SET environment_key = '../../evil'", "environment is '../../evil'"),
    "an environment that begins well": (
        "UPDATE orchestrations SET environment_key = environment_key || '/../../../evil'",
        "environment is '[0-9a-f]{32}/../../../evil'",
    ),
    "an entrypoint that is an option": ("UPDATE orchestrations SET entrypoint = '-c'", "entrypoint is '-c'"),
    "an absolute entrypoint": ("UPDATE orchestrations SET entrypoint = '/etc/evil.py'", "entrypoint is '/etc/evil.py'"),
    "an entrypoint above": ("UPDATE orchestrations SET entrypoint = 'a/../../evil.py'", "entrypoint is"),
    "a trigger": ("CREATE TRIGGER evil AFTER INSERT ON runs BEGIN DELETE FROM tasks; END", "the trigger 'evil'"),
    "a view": ("CREATE VIEW evil AS SELECT 1", "the view 'evil'"),
}


@pytest.mark.parametrize("name", _CHANGES)
def test_a_name_that_no_store_has_is_refused(backup: Path, name: str) -> None:
    statement, what = _CHANGES[name]
    with closing(sqlite3.connect(backup / "store.sqlite")) as connection, connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(statement)
        if statement.startswith("UPDATE tasks") or "orchestration_id =" in statement or "run_id" in statement:
            _follow(connection)
    _check_refused(backup, what)


def _follow(connection: sqlite3.Connection) -> None:
    """Let other rows refer to the changed ones, so that nothing but the name is wrong."""
    connection.execute("UPDATE runs SET task_id = (SELECT task_id FROM tasks WHERE tasks.kind = 'once') WHERE number = 2")
    connection.execute("UPDATE tasks SET orchestration_id = (SELECT orchestration_id FROM orchestrations)")


_LINKS = ("bundles", "runs", "bundles/*.zip", "runs/*", "runs/*/1", "runs/*/1/work", "runs/*/1/log", "store.sqlite")


@pytest.mark.parametrize("place", _LINKS)
def test_a_link_where_a_store_has_a_file_of_its_own_is_refused(backup: Path, tmp_path: Path, place: str) -> None:
    path = sorted(backup.glob(place))[-1]
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    _check_refused(backup, "is a symbolic link")


@pytest.mark.parametrize("name", ["store.sqlite", "store.sqlite-wal", "backup.json"])
def test_a_named_pipe_in_place_of_a_file_is_refused_and_not_opened(backup: Path, name: str) -> None:
    (backup / name).unlink(missing_ok=True)
    os.mkfifo(backup / name)
    with pytest.raises((orchlite.StoreDamaged, orchlite.BadArgument), match=r"is not a (regular file|backup)"):
        orchlite.Client.restore(backup, backup.with_name("restored"))


def test_links_that_a_program_has_made_in_its_folder_are_restored_as_links(good: Path, backup: Path, tmp_path: Path) -> None:
    [work] = backup.glob("runs/*/1/work")
    (work / "latest").symlink_to("/nowhere")
    orchlite.Client.restore(backup, tmp_path / "restored")
    [restored] = (tmp_path / "restored").glob("runs/*/1/work")
    assert str((restored / "latest").readlink()) == "/nowhere"


@pytest.mark.slow
def test_holes_stay_holes(folder: MakeFolder, tmp_path: Path) -> None:
    program = "with open('sparse', 'wb') as file:\n    file.seek(200 * 2**20)\n    file.write(b'end')"
    with orchlite.Client(tmp_path / "store") as client:
        client.run(folder(program)).raise_for_failure()
        client.backup(tmp_path / "backup")
    [file] = (tmp_path / "backup").glob("runs/*/1/work/sparse")
    assert file.stat().st_size == 200 * 2**20 + 3
    assert file.stat().st_blocks * 512 < 2**20
    assert file.read_bytes()[-3:] == b"end"


@pytest.mark.parametrize("run_id", ["../../outside", "..", "", "a/b"])
def test_a_run_of_a_tampered_row_is_not_looked_for_outside_of_the_store(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(orchlite.StoreDamaged, match="Restore it from a backup"):
        StoreFolder(tmp_path).run(run_id)
