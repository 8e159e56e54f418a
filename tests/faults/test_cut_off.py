"""A host that is killed in the midst of an upload, or while it unpacks: what it leaves is in nobody's way."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

_MEBIBYTE = 1024 * 1024
_FILES = 1500

_UPLOADS = """
import sys, orchlite
client = orchlite.Client(sys.argv[1], workers=1)
print("ready")
orchestration = client.upload_orchestration(path=sys.argv[2])
print(orchestration.wait().run_once().last_runs()[0].wait().id())
"""

# Says how much of what the bundle brought is there.
_COUNTS = """
import pathlib
print(len(list(pathlib.Path("many").iterdir())), sum(path.stat().st_size for path in pathlib.Path("many").iterdir()))
"""


def _kill_at(host: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert host.poll() is None, "the host came to its end before"
        assert time.monotonic() < give_up_at
        time.sleep(0.001)
    host.kill()
    host.wait()


@pytest.mark.slow
def test_a_host_that_is_killed_in_an_upload_has_uploaded_nothing_and_the_next_one_can(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, bundles = tmp_path / "store", tmp_path / "store" / "bundles"
    program = folder("import pathlib; print(pathlib.Path('data').stat().st_size)")
    (program / "data").write_bytes(random.Random(0).randbytes(16 * _MEBIBYTE))
    _kill_at(start_host(_UPLOADS, store, program), lambda: any(bundles.glob("*.upload")))
    assert [path.suffix for path in bundles.iterdir()] == [".upload"]
    with orchlite.Client(store, workers=1).start() as client:
        assert (list(client.list_orchestrations()), list(client.list_tasks())) == ([], [])
        run = client.run(program)
        assert (run.status(), str(run.logs())) == ("success", f"{16 * _MEBIBYTE}\n")
    check_store(store, [run.id()])


@pytest.mark.slow
def test_a_run_whose_host_is_killed_while_it_unpacks_finds_everything_when_the_next_one_starts_it(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    program = folder({"main.py": _COUNTS, **{f"many/{number:04}": "x" * 10 for number in range(_FILES)}})
    with orchlite.Client(store, workers=1) as client:  # so that only the unpacking is left to do
        client.upload_orchestration(path=program).wait()
    _kill_at(start_host(_UPLOADS, store, program), lambda: any(store.glob("runs/*/1/work/many/0010")))
    [half] = store.glob("runs/*/1/work")
    assert 0 < len(list((half / "many").iterdir())) < _FILES
    assert not (half.parents[1] / "started.json").exists()
    run_id = half.parents[1].name
    with orchlite.Client(store, workers=1).start() as client:
        assert client.get_task_run_by_id(run_id).wait(20).status() == "success"
    check_store(store, [run_id], {run_id: [f"{_FILES} {_FILES * 10}"]})
