"""The working folder of a run compared with its bundle: which files changed, and which are removed."""

from __future__ import annotations

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchlite.bundles import bundle

PROGRAM = b"print(1)\n"
NOT_AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
BROUGHT = {"main.py": PROGRAM, "data/in.csv": b"1,2\n", "lib/__init__.py": b"", "empty/": b"", ".DS_Store": b"junk"}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as written:
        for name, data in BROUGHT.items():
            written.writestr(name, data)
    return path


@pytest.fixture
def work(archive: Path) -> Path:
    folder = archive.parent / "work"
    folder.mkdir()
    bundle.unpack(archive, folder)
    return folder


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def write(work: Path, *names: str) -> None:
    for name in names:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(b"made")


def names_of(paths: list[Path]) -> list[str]:
    return [str(path) for path in paths]


def test_a_run_that_did_nothing_changed_nothing(archive: Path, work: Path) -> None:
    assert bundle.changed_files(archive, work) == []


def test_made_and_changed_files_are_found_in_order(archive: Path, work: Path) -> None:
    write(work, "out/b.txt", "out/a.txt", "out.txt", "data/in.csv", "data/more.csv")
    (work / "lib/__init__.py").write_bytes(b"longer")
    assert names_of(bundle.changed_files(archive, work)) == [
        "data/in.csv",
        "data/more.csv",
        "lib/__init__.py",
        "out.txt",
        "out/a.txt",
        "out/b.txt",
    ]


def test_a_change_that_keeps_the_size_is_found(archive: Path, work: Path) -> None:
    (work / "data/in.csv").write_bytes(b"2,1\n")
    assert names_of(bundle.changed_files(archive, work)) == ["data/in.csv"]


def test_a_file_with_the_name_of_skipped_junk_was_made_by_the_run(archive: Path, work: Path) -> None:
    (work / ".DS_Store").write_bytes(b"junk")
    assert names_of(bundle.changed_files(archive, work)) == [".DS_Store"]


def test_bytecode_links_and_pipes_are_no_changed_files(archive: Path, work: Path, tmp_path: Path) -> None:
    write(work, "__pycache__/main.pyc", "lib/__pycache__/x/y.pyc", "real/file")
    write(tmp_path, "outside/secret")
    (work / "link").symlink_to(tmp_path / "outside")
    (work / "file_link").symlink_to(tmp_path / "outside/secret")
    os.mkfifo(work / "pipe")
    assert names_of(bundle.changed_files(archive, work)) == ["real/file"]


def test_a_name_that_is_not_utf_8_is_found(archive: Path, work: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (work / name).write_bytes(b"x")
    assert bundle.changed_files(archive, work) == [Path(name)]


def test_a_missing_working_folder_has_no_changed_files(archive: Path, tmp_path: Path) -> None:
    assert bundle.changed_files(archive, tmp_path / "none") == []


def test_removing_leaves_what_the_run_made_or_changed(archive: Path, work: Path) -> None:
    write(work, "out/a.txt", "lib/made.py", "__pycache__/main.pyc", "lib/__pycache__/deep/x.pyc")
    (work / "data/in.csv").write_bytes(b"2,1\n")
    (work / "made_empty").mkdir()
    bundle.remove_unchanged(archive, work)
    expected = {
        "out": None,
        "out/a.txt": b"made",
        "lib": None,
        "lib/made.py": b"made",
        "data": None,
        "data/in.csv": b"2,1\n",
        "made_empty": None,
    }
    assert tree(work) == expected
    assert names_of(bundle.changed_files(archive, work)) == ["data/in.csv", "lib/made.py", "out/a.txt"]
    bundle.remove_unchanged(archive, work)
    assert tree(work) == expected


def test_removing_after_a_run_that_did_nothing_leaves_the_bare_folder(archive: Path, work: Path) -> None:
    bundle.remove_unchanged(archive, work)
    assert work.is_dir()
    assert tree(work) == {}


def test_removing_never_follows_a_link(archive: Path, work: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (work / "data").rename(elsewhere)
    (work / "data").symlink_to(elsewhere)
    (work / "lib/__init__.py").unlink()
    (work / "lib/__init__.py").symlink_to(elsewhere / "in.csv")
    (tmp_path / "cache").mkdir()
    write(tmp_path, "cache/x.pyc")
    (work / "__pycache__").symlink_to(tmp_path / "cache")
    bundle.remove_unchanged(archive, work)
    assert (elsewhere / "in.csv").read_bytes() == b"1,2\n"
    assert (tmp_path / "cache/x.pyc").exists()
    assert sorted(item.name for item in work.iterdir()) == ["__pycache__", "data", "lib"]


def test_a_link_inside_a_bytecode_folder_is_removed_and_not_its_target(archive: Path, work: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside/keep")
    (work / "__pycache__").mkdir()
    (work / "__pycache__/link").symlink_to(tmp_path / "outside")
    bundle.remove_unchanged(archive, work)
    assert (tmp_path / "outside/keep").exists()
    assert tree(work) == {}


def test_files_of_another_type_than_in_the_bundle_stay(archive: Path, work: Path) -> None:
    (work / "main.py").unlink()
    (work / "main.py").mkdir()
    (work / "data/in.csv").unlink()
    (work / "data").rmdir()
    (work / "data").write_bytes(b"")
    (work / "lib/__init__.py").unlink()
    os.mkfifo(work / "lib/__init__.py")
    bundle.remove_unchanged(archive, work)
    assert sorted(item.name for item in work.iterdir()) == ["data", "lib", "main.py"]


def test_a_tree_too_deep_for_a_path_is_left_alone(archive: Path, work: Path) -> None:
    here = os.open(work, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        there = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)
    bundle.remove_unchanged(archive, work)
    assert bundle.changed_files(archive, work) == []
    assert [item.name for item in work.iterdir()] == ["d" * 200]


@NOT_AS_ROOT
def test_what_the_program_made_read_only_stays_and_the_rest_is_removed(archive: Path, work: Path) -> None:
    (work / "data").chmod(0)
    (work / "lib").chmod(0o500)
    (work / "main.py").chmod(0)
    assert names_of(bundle.changed_files(archive, work)) == ["main.py"]
    bundle.remove_unchanged(archive, work)
    (work / "data").chmod(0o700)
    (work / "lib").chmod(0o700)
    assert sorted(item.name for item in work.iterdir()) == ["data", "lib", "main.py"]
    assert (work / "lib/__init__.py").exists()


@pytest.mark.slow
def test_a_file_that_a_cleanup_removes_at_the_same_time_is_no_change(tmp_path: Path) -> None:
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for name in ("main.py", *(f"data/{number}.csv" for number in range(300))):
            written.writestr(name, b"1,2\n")
    with ThreadPoolExecutor(1) as tidier:
        for number in range(5):
            work = tmp_path / str(number)
            work.mkdir()
            bundle.unpack(archive, work)
            write(work, "made.txt")
            tidied = tidier.submit(bundle.remove_unchanged, archive, work)
            seen = [names_of(bundle.changed_files(archive, work)) for _ in range(5)]
            tidied.result()
            assert seen == [["made.txt"]] * 5
