"""Locks, private files, durable folders, and trees that are measured and removed: on real files."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchlite.core.files import (
    exclusive_lock,
    fsync_folder,
    is_disk_full,
    is_locked,
    lock_descriptor,
    make_private_folders,
    private_opener,
    remove_tree,
    tree_size,
    tree_size_bytes,
)


def _without_privilege() -> None:
    # A read-only folder does not stop root. prctl(2): PR_CAPBSET_DROP of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


def _remove_unprivileged(path: Path) -> str:
    program = "import sys; from pathlib import Path; from orchlite.core.files import remove_tree; print(remove_tree(Path(sys.argv[1])))"
    command = [sys.executable, "-c", program, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=_without_privilege).stdout.strip()


def _nested(path: Path, depth: int, *, name: str) -> None:
    """Make folders in each other, deeper than Python's stack, and a file of 4 bytes in the innermost."""
    path.mkdir()
    folder = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    with open("file", "wb", opener=lambda file, flags: os.open(file, flags, 0o600, dir_fd=folder)) as file:
        file.write(b"1234")
    os.close(folder)


@pytest.fixture
def deep_folder(tmp_path: Path) -> Iterator[Path]:
    """A path for folders too deep for pytest to remove after the test."""
    yield tmp_path / "deep"
    subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True)


class TestLocks:
    def test_a_file_that_is_missing_is_not_locked(self, tmp_path: Path) -> None:
        assert not is_locked(tmp_path / "lock")

    def test_a_lock_is_seen_while_it_is_held(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        with exclusive_lock(lock):
            assert is_locked(lock)
        assert not is_locked(lock)

    def test_a_shared_lock_does_not_count(self, tmp_path: Path) -> None:
        with (tmp_path / "lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            assert not is_locked(tmp_path / "lock")

    def test_the_lock_file_is_private_and_stays(self, tmp_path: Path) -> None:
        with exclusive_lock(tmp_path / "lock"):
            pass
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600

    def test_a_lock_is_released_when_the_block_raises(self, tmp_path: Path) -> None:
        with pytest.raises(LookupError), exclusive_lock(tmp_path / "lock"):
            raise LookupError
        assert not is_locked(tmp_path / "lock")

    def test_a_forked_child_does_not_hold_the_lock(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        here, there = socket.socketpair()
        with here, there:
            with exclusive_lock(lock):
                child = os.fork()
                if child == 0:
                    there.send(b"started")
                    there.recv(1)
                    os._exit(0)
                here.recv(7)
            try:
                assert not is_locked(lock)
            finally:
                here.send(b"x")
                os.waitpid(child, 0)

    def test_a_forked_child_that_leaves_the_block_closes_no_other_file(self, tmp_path: Path) -> None:
        with lock_descriptor(os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)) as descriptor:
            child = os.fork()
            if child == 0:
                os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)  # gets the lowest free number: the lock's
        if child == 0:
            try:
                os._exit(0 if os.fstat(descriptor).st_ino == (tmp_path / "other").stat().st_ino else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0


def test_a_private_file_is_readable_by_its_account_only(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w", opener=private_opener) as file:
        file.write("secret")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_every_named_folder_is_private(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "inner"
    make_private_folders(outer, inner)
    make_private_folders(outer, inner)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (outer, inner)] == [0o700, 0o700]


def test_fsync_reaches_the_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[os.stat_result] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor)))
    fsync_folder(tmp_path)
    assert [(status.st_dev, status.st_ino) for status in synced] == [(tmp_path.stat().st_dev, tmp_path.stat().st_ino)]


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False), (None, False)])
def test_no_space_and_an_exceeded_quota_mean_a_full_disk(number: int | None, expected: bool) -> None:
    assert is_disk_full(OSError(number, "why")) is expected


class TestSize:
    def test_is_the_sum_of_all_files(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "one").write_bytes(b"x" * 1000)
        (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 234)
        assert tree_size_bytes(tmp_path / "a") == 1234
        assert tree_size_bytes(tmp_path / "a" / "one") == 1000

    def test_is_what_a_file_with_holes_takes_up_and_what_it_would_without_them(self, tmp_path: Path) -> None:
        with (tmp_path / "sparse").open("wb") as file:
            file.write(b"x" * 5000)
            file.truncate(2**31)
        assert 5000 <= tree_size_bytes(tmp_path) < 100_000
        assert tree_size(tmp_path).apparent_bytes == tree_size(tmp_path / "sparse").apparent_bytes == 2**31

    @pytest.mark.slow
    def test_includes_folders_nested_a_thousand_deep(self, deep_folder: Path) -> None:
        _nested(deep_folder, 1200, name="d")
        assert tree_size_bytes(deep_folder) == 4

    def test_of_nothing_is_0(self, tmp_path: Path) -> None:
        assert tree_size_bytes(tmp_path / "missing") == 0

    @pytest.mark.parametrize("where", ["link", "folder/link"], ids=["at the top", "inside"])
    def test_of_a_link_is_its_own(self, tmp_path: Path, where: str) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "file").write_bytes(b"x" * 10_000)
        (tmp_path / where).symlink_to(tmp_path / "elsewhere")
        assert tree_size_bytes(tmp_path / where.split("/")[0]) == len(str(tmp_path / "elsewhere"))


class TestRemoval:
    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda path: None, id="nothing"),
            pytest.param(lambda path: path.write_text("x"), id="file"),
            pytest.param(lambda path: path.symlink_to("nowhere"), id="dangling link"),
            pytest.param(lambda path: os.mkfifo(path), id="pipe"),
            pytest.param(lambda path: (path / "a" / "b").mkdir(parents=True), id="folders"),
        ],
    )
    def test_leaves_nothing(self, tmp_path: Path, make: Callable[[Path], object]) -> None:
        make(tmp_path / "doomed")
        assert remove_tree(tmp_path / "doomed")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_includes_folders_too_deep_for_a_path(self, deep_folder: Path) -> None:
        _nested(deep_folder, 1200, name="longer than PATH_MAX")
        assert remove_tree(deep_folder)
        assert not deep_folder.exists()

    @pytest.mark.parametrize("mode", [0o500, 0o300, 0o000])
    def test_includes_folders_that_are_read_only_or_unreadable(self, tmp_path: Path, mode: int) -> None:
        (tmp_path / "doomed" / "a" / "b").mkdir(parents=True)
        (tmp_path / "doomed" / "a" / "b" / "file").write_text("x")
        for folder in ("a/b", "a", "."):
            (tmp_path / "doomed" / folder).chmod(mode)
        assert _remove_unprivileged(tmp_path / "doomed") == "True"
        assert list(tmp_path.iterdir()) == []

    def test_returns_false_if_something_cannot_be_removed(self, tmp_path: Path) -> None:
        (tmp_path / "kept" / "doomed").mkdir(parents=True)
        (tmp_path / "kept").chmod(0o500)
        assert _remove_unprivileged(tmp_path / "kept" / "doomed") == "False"
        assert (tmp_path / "kept" / "doomed").exists()

    @pytest.mark.parametrize("mode", [0o700, 0o500])
    @pytest.mark.parametrize("inside", ["doomed", "doomed/link", "doomed/a/link"], ids=["at the top", "inside", "below"])
    def test_never_follows_a_link(self, tmp_path: Path, inside: str, mode: int) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "file").write_text("x")
        (tmp_path / inside).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / inside).symlink_to(tmp_path / "elsewhere")
        if inside != "doomed":
            (tmp_path / inside).parent.chmod(mode)  # without the right to write, nothing but the thorough way removes it
        before = (tmp_path / "elsewhere").stat()
        assert _remove_unprivileged(tmp_path / "doomed") == "True"
        assert (tmp_path / "elsewhere" / "file").read_text() == "x"
        assert (tmp_path / "elsewhere").stat() == before
        assert not os.path.lexists(tmp_path / "doomed")

    def test_continues_after_a_file_that_cannot_be_removed(self, tmp_path: Path) -> None:
        doomed = tmp_path / "doomed"
        for name in ("a", "m", "z"):
            (doomed / name).mkdir(parents=True)
            (doomed / name / "file").write_text("x")
        with (doomed / "m" / "file").open() as file, _immutable(file.fileno()):
            assert not remove_tree(doomed)
            assert [path.read_text() for path in doomed.rglob("*") if path.is_file()] == ["x"]
        assert remove_tree(doomed)


class _immutable:  # noqa: N801 - a context manager
    """Make a file immutable while the block runs (FS_IOC_SETFLAGS, FS_IMMUTABLE_FL); skip the test where only the system forbids it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        try:
            self._set(0x10)
        except OSError as error:
            pytest.skip(f"the file system or this account cannot make a file immutable: {error.strerror}")

    def __exit__(self, *_: object) -> None:
        self._set(0)

    def _set(self, flags: int) -> None:
        fcntl.ioctl(self._descriptor, 0x40086602, flags.to_bytes(8, sys.byteorder))
