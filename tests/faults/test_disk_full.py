"""A disk without room: programs go on, what cannot be stored is refused with a clear error, and what was put off is recorded later."""

from __future__ import annotations

import io
import random
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

import orchlite
from orchlite.core.errors import StorageFull
from tests.faults.small_disk import DISK_BYTES, Disk

CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]
StartHost = Callable[..., "subprocess.Popen[str]"]


# Waits for the gate, says more than the disk could hold, and notes that it came to its end.
_TALKS = """
import pathlib, sys, time
print("begun", flush=True)
while not pathlib.Path({gate!r}).exists():
    time.sleep(0.01)
for _ in range(2 * {bytes} // 1000):
    print("x" * 999)
pathlib.Path({done!r}).touch()
sys.exit(3)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder of a store, which is not on the small disk."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def _move(disk: Disk, store: Path, name: str) -> None:
    """Let one folder of the store lie on the small disk."""
    (disk.path / name).mkdir()
    (store / name).symlink_to(disk.path / name)


def _zip(text: str, padding: int = 0) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("main.py", text)
        archive.writestr("padding", random.Random(padding).randbytes(padding))
    return content.getvalue()


def _await(path: Path) -> None:
    give_up_at = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def test_a_program_is_not_blocked_when_its_log_finds_no_room_and_its_end_is_recorded_later(
    disk: Disk, store: Path, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    _move(disk, store, "runs")
    gate, done = tmp_path / "gate", tmp_path / "done"
    program = folder(_TALKS.format(gate=str(gate), done=str(done), bytes=DISK_BYTES))
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        [run] = client.upload_orchestration(path=program).wait().run_once().last_runs()
        next(run.logs(follow=True))
        disk.fill(pages_left=16)
        gate.touch()
        _await(done)  # the disk is still full
        disk.make_room()
        assert (run.wait(20).status(), run.exit_code()) == ("failure", 3)
        assert not run.log_is_complete()
        assert [line.text for line in run.logs()][:2] == ["begun", "x" * 999]
        assert client.run(folder("print('next')")).log_is_complete()
    check_store(store, [run.id()])


@pytest.mark.parametrize("rooms", [(0, 3), pytest.param(range(6), marks=pytest.mark.slow)], ids=["two", "each"])
def test_a_run_that_finds_no_room_to_start_is_never_unknown(
    disk: Disk, store: Path, check_store: CheckStore, folder: MakeFolder, rooms: Iterable[int]
) -> None:
    _move(disk, store, "runs")
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        orchestration = client.upload_orchestration(path=folder("print('ran')")).wait()
        ends = []
        for pages_left in rooms:
            disk.fill(pages_left=pages_left)
            [run] = orchestration.run_once().last_runs()
            with suppress(orchlite.WaitTimeout):
                run.wait(1)
            disk.make_room()
            ends.append((run.wait(20).status(), run.reason() or ""))
        assert client.run(orchestration).status() == "success"
    assert {status for status, _ in ends} <= {"success", "failure"}
    assert all("No space left" in reason for status, reason in ends if status == "failure")
    check_store(store)


def test_a_store_without_room_takes_nothing_and_everything_again_when_there_is_some(
    disk: Disk, check_store: CheckStore, folder: MakeFolder
) -> None:
    store = disk.path / "store"
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        orchestration = client.upload_orchestration(path=folder("print('ran')")).wait()
        disk.fill()
        attempts: list[Callable[[], object]] = [
            orchestration.run_once,
            lambda: client.create_workspace("late"),
            lambda: client.upload_orchestration(bytes_buffer=_zip("print('late')")),
            lambda: client.run(folder("print('late')")),
        ]
        for attempt in attempts:
            with pytest.raises(StorageFull, match=r"is full.*make room and try again"):
                attempt()
        assert orchestration.status() == "ready"  # reading goes on
        disk.make_room()
        assert (list(client.list_tasks()), len(client.list_orchestrations()), len(client.list_workspaces())) == ([], 1, 1)
        assert client.run(orchestration).status() == "success"
        client.create_workspace("late")
    assert list(check_store(store).values()) == ["success"] * 2


def test_an_end_that_finds_no_room_in_the_store_is_recorded_when_there_is_some(
    disk: Disk, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, gate = disk.path / "store", tmp_path / "gate"
    (tmp_path / "runs").mkdir()
    store.mkdir()
    (store / "runs").symlink_to(tmp_path / "runs")
    program = folder(_TALKS.format(gate=str(gate), done=str(tmp_path / "done"), bytes=1000))
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        [run] = client.upload_orchestration(path=program).wait().run_once().last_runs()
        next(run.logs(follow=True))
        disk.fill()
        gate.touch()
        _await(tmp_path / "runs" / run.id() / "1" / "result.json")
        with pytest.raises(orchlite.WaitTimeout):
            run.wait(0.5)
        disk.make_room()
        assert (run.wait(20).status(), run.exit_code()) == ("failure", 3)
        assert run.log_is_complete()
    check_store(store, [run.id()])


@pytest.mark.parametrize("lacking", ["bundles", "store"])
def test_an_upload_that_finds_no_room_leaves_nothing_behind(disk: Disk, check_store: CheckStore, tmp_path: Path, lacking: str) -> None:
    store, full, roomy = tmp_path / "store", disk.path / "store", tmp_path / "roomy"
    full.mkdir()
    if lacking == "bundles":
        store.mkdir()
        _move(disk, store, "bundles")
    else:
        roomy.mkdir()
        (full / "bundles").symlink_to(roomy)
        store = full
    with orchlite.Client(store, workers=1) as client:
        disk.fill(pages_left=40 if lacking == "bundles" else 0)
        with pytest.raises(StorageFull, match=r"is full.*make room and try again"):
            client.upload_orchestration(bytes_buffer=_zip("print('late')", 1024 * 1024))
        assert list((store / "bundles").iterdir()) == []
        assert list(client.list_orchestrations()) == []
        disk.make_room()
        assert client.run(client.upload_orchestration(bytes_buffer=_zip("print('late')", 1024 * 1024))).status() == "success"
        assert len(list((store / "bundles").iterdir())) == 1
    check_store(store)


def test_a_store_that_finds_no_room_to_open_says_so_and_opens_when_there_is_some(disk: Disk, check_store: CheckStore) -> None:
    store = disk.path / "store"
    opened = []
    for pages_left in (0, 2, 4, 8, 16, 32):  # from nothing at all to all but the last pages
        disk.fill(pages_left=pages_left)
        opened.append(_opens(store))
        disk.make_room()
    assert not all(opened)
    assert _opens(store)
    disk.fill()
    assert not _opens(store), "what SQLite keeps beside the file needs room, too"
    disk.make_room()
    assert _opens(store)
    assert check_store(store) == {}


def _opens(store: Path) -> bool:
    try:
        orchlite.Client(store).close()
    except StorageFull:
        return False
    return True


# Lets files grow no more while a run comes to its end; what the system says then is neither that the disk is full nor the store busy.
_CANNOT_GROW = """
import resource, signal, sys, time, orchlite
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
client = orchlite.Client(sys.argv[1], workers=1)
[run] = client.upload_orchestration(path=sys.argv[2]).wait().run_once().last_runs()
next(run.logs(follow=True))
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
Path(sys.argv[3]).touch()
while not list(client.path().glob("runs/*/1/result.json")):
    time.sleep(0.01)
time.sleep(0.3)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
print(run.wait(20).status())
"""


@pytest.mark.slow
def test_an_end_that_a_failing_device_does_not_take_is_recorded_when_it_does(
    store: Path, start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    program = f"import pathlib, time\nprint('begun', flush=True)\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)"
    said, _ = start_host(_CANNOT_GROW, store, folder(program), gate, stderr=subprocess.DEVNULL).communicate(timeout=40)
    assert said.strip() == "success"
    assert set(check_store(store).values()) == {"success"}
