"""A disk with little room: a small file system in memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

_PAGE_BYTES = 4096
DISK_BYTES = 8 * 1024 * 1024


class Disk:
    """A disk with little room."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, *, pages_left: int = 0) -> None:
        """Fill the disk, except for `pages_left` pages."""
        with self._filler.open("ab", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(b"\0" * _PAGE_BYTES)
        os.truncate(self._filler, self._filler.stat().st_size - pages_left * _PAGE_BYTES)

    def make_room(self) -> None:
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small file system in memory."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = _command("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path))
    if mounted is not None:
        pytest.skip(f"no small file system can be mounted here: {mounted}")
    yield Disk(path)
    _command("umount", "--lazy", str(path))


def _command(*command: str) -> str | None:
    """Return what the command complains about; None if it succeeded."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() or "it failed" if done.returncode else None
