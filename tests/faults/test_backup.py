"""A host that is killed in the middle of a backup or a restore: nothing has the name that was asked for, and the next one succeeds."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite
from orchlite.operations import backup, integrity

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

# Dies at the first step of this kind that has to do with the copy; Python announces each to its audit hooks.
_DIES = """
import os, signal, sys
from pathlib import Path
import orchlite
from orchlite.operations import backup

what, source, target, step = sys.argv[1:]
client = orchlite.Client(source) if what == "backup" else None

def die(event, arguments):
    if event == step and any(".part" in str(argument) for argument in arguments):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
if client is not None:
    backup.backup(client._engine.context, Path(target))
else:
    orchlite.Client.restore(Path(source), Path(target))
"""


@pytest.fixture
def store(tmp_path: Path, folder: MakeFolder) -> Path:
    """One in which something has run."""
    with orchlite.Client(tmp_path / "store", workers=1) as client:
        client.run(folder("print('hello')"))
    return tmp_path / "store"


def _back_up(store: Path, target: Path) -> None:
    with orchlite.Client(store) as client:
        backup.backup(client._engine.context, target)


def _check(store: Path) -> None:
    with orchlite.Client(store) as client:
        assert integrity.check(client._engine.context) == []


@pytest.mark.parametrize(
    "step",
    [
        "os.rename",
        *(pytest.param(step, marks=pytest.mark.slow) for step in ("open", "os.mkdir", "shutil.copystat", "sqlite3.connect", "os.link")),
    ],
)
def test_a_backup_that_is_killed_leaves_nothing_of_its_name(
    start_host: StartHost, store: Path, tmp_path: Path, step: str, check_store: CheckStore
) -> None:
    target = tmp_path / "backup"
    assert start_host(_DIES, "backup", store, target, step).wait() == -signal.SIGKILL
    assert not target.exists()
    _check(store)
    _back_up(store, target)
    orchlite.Client.restore(target, tmp_path / "restored")
    _check(tmp_path / "restored")
    assert list(check_store(tmp_path / "restored").values()) == ["success", "success"]
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize(
    "step",
    ["os.rename", *(pytest.param(step, marks=pytest.mark.slow) for step in ("os.mkdir", "open", "shutil.copystat", "sqlite3.connect"))],
)
def test_a_restore_that_is_killed_leaves_nothing_of_its_name(
    start_host: StartHost, store: Path, tmp_path: Path, step: str, check_store: CheckStore
) -> None:
    _back_up(store, tmp_path / "backup")
    into = tmp_path / "restored"
    assert start_host(_DIES, "restore", tmp_path / "backup", into, step).wait() == -signal.SIGKILL
    assert not into.exists()
    orchlite.Client.restore(tmp_path / "backup", into)
    _check(into)
    assert list(check_store(into).values()) == ["success", "success"]
    assert list(tmp_path.glob("*.part")) == []
