"""Seals: a change of what is in a folder is noticed; a copy of the folder, and bytecode, are no change."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.environments import seals
from orchlite.environments.seals import Seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    for name in ("a.py", "package/b.py", "package/inner/c.py", "package/__pycache__/b.pyc", "empty/d/e"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def _closed(folder: Path) -> Seal:
    """Close the folder, and wait until the kernel's clock for files, which may tick 100 times a second only, has ticked."""
    seal, probe = seals.close(folder), folder.parent / "probe"
    closed_at_ns = max(entry[1] for entry in seal.entries)
    probe.touch()
    while probe.stat().st_ctime_ns <= closed_at_ns:
        probe.touch()
    return seal


def _reopen(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def _set_times(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1, 1))


def _write_again(path: Path) -> None:
    path.unlink()
    path.write_text("something longer than before")


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(path.read_text().upper())
    other.rename(path)


def _add_without_a_trace(folder: Path) -> None:
    before = folder.stat()
    (folder / "new").touch()
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


_CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a file is added": (".", lambda folder: (folder / "new").touch()),
    "a file is added below": ("package/inner", lambda folder: (folder / "package/inner/new").touch()),
    "a folder is added": ("empty/d", lambda folder: (folder / "empty/d/new").mkdir()),
    "a link is added": ("package", lambda folder: (folder / "package/new").symlink_to("/")),
    "a file is removed": ("package/inner", lambda folder: (folder / "package/inner/c.py").unlink()),
    "a file is renamed": ("package", lambda folder: (folder / "package/b.py").rename(folder / "package/f.py")),
    "a file is replaced": ("package", lambda folder: _write_again(folder / "package/b.py")),
    "a file is replaced by one of the same size": ("package", lambda folder: _replace(folder / "package/b.py")),
    "a file is added and the folder's time set back": ("package", lambda folder: _add_without_a_trace(folder / "package")),
    "a folder is removed": ("package", lambda folder: shutil.rmtree(folder / "package/inner")),
    "everything is removed": (".", shutil.rmtree),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_a_change_is_found_and_the_folder_named(folder: Path, change: str) -> None:
    seal = Seal.from_json(json.loads(json.dumps(_closed(folder).entries)))
    assert (seal.change(folder), seal.next_change(folder)) == (None, None)
    _reopen(folder)
    changed, make = _CHANGES[change]
    make(folder)
    expected = str(folder / changed) if changed != "." else str(folder)
    assert (seal.change(folder), seal.next_change(folder)) == (expected, expected)


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param(lambda folder: (folder / "package/__pycache__/b.opt-1.pyc").touch(), id="more bytecode"),
        pytest.param(lambda folder: (folder / "package/inner/__pycache__").mkdir(), id="the first bytecode"),
        pytest.param(lambda folder: shutil.rmtree(folder / "package/__pycache__"), id="no bytecode"),
        pytest.param(_set_times, id="other times"),
        pytest.param(lambda folder: folder.chmod(0o755), id="other modes"),
    ],
)
def test_bytecode_and_times_and_modes_are_no_change(folder: Path, harmless: Callable[[Path], object]) -> None:
    seal = _closed(folder)
    _reopen(folder)
    harmless(folder)
    assert (seal.change(folder), seal.next_change(folder)) == (None, None)


def test_a_copy_is_intact(folder: Path, tmp_path: Path) -> None:
    seal = _closed(folder)
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert seal.change(tmp_path / "copy") is None


def test_everything_is_read_only_and_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "file").touch(mode=0o600)
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "file")
    _closed(folder)
    inside = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    assert {path for path in inside if path.stat().st_mode & 0o222} == set()
    assert (outside.stat().st_mode & 0o777, (outside / "file").stat().st_mode & 0o777) == (0o700, 0o600)


def test_in_a_large_folder_a_change_is_found_at_the_latest_when_its_turn_comes(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / "large" / f"{number:03}").mkdir(parents=True)
    folder = tmp_path / "large"
    for number in (0, 20, 99):
        seal = _closed(folder)
        assert seal.next_change(folder) is None, "the first check is of all"
        changed = folder / f"{number:03}"
        changed.chmod(0o700)
        (changed / "new").touch()
        found = [seal.next_change(folder) for _ in range(7)]
        assert set(found) - {None} == {str(changed)}


def test_a_change_is_found_again_by_the_next_check(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    for number in range(100):
        (folder / f"{number:03}").mkdir(parents=True)
    seal = _closed(folder)
    (folder / "070").chmod(0o700)
    (folder / "070" / "new").touch()
    assert [seal.next_change(folder) for _ in range(3)] == [str(folder / "070")] * 3, "the first check is of all"


def test_a_seal_of_an_earlier_version_is_valid(folder: Path) -> None:
    entries = [(name, (folder / name).stat().st_mtime_ns, digest) for name, _, digest, _ in _closed(folder).entries]
    seal = Seal.from_json(json.loads(json.dumps(entries)))
    assert (seal.change(folder), seal.next_change(folder)) == (None, None)


@pytest.mark.parametrize("value", [[[".", 1]], [[".", "x", "y"]], 5, [None]])
def test_what_is_no_seal_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Seal.from_json(value)
