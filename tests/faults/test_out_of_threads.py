"""A process that may start no more threads for a moment: what needed one is refused, stores nothing, and works afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MakeFolder = Callable[..., Path]
StartHost = Callable[..., "subprocess.Popen[str]"]

# Lets the n-th thread from now on fail to start, as the kernel does at a limit (RLIMIT_NPROC holds nobody back who is root).
_SCRIPT = """
import sys, threading
import orchlite

store, bundle, left = sys.argv[1], sys.argv[2], int(sys.argv[3])

class Thread(threading.Thread):
    def start(self):
        global left
        left -= is_armed
        if is_armed and left == 0:
            raise RuntimeError("can't start new thread")
        super().start()

is_armed = False
threading.Thread = Thread
with orchlite.Client(store, workers=1) as client:
    client.upload_orchestration(path=bundle).wait()
with orchlite.Client(store, workers=1) as client:
    [orchestration] = client.list_orchestrations()
    is_armed = True
    try:
        orchestration.run_scheduled("nightly", "0 0 1 1 *")
    except orchlite.ResourceExhausted as error:
        print("refused", isinstance(error, RuntimeError), len(client.list_tasks()))
    is_armed = False
    orchestration.run_scheduled("nightly", "0 0 1 1 *").kill()
    print(orchestration.run_once().wait(20).status())
print(len(list(client.path().joinpath("hosts").iterdir())))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3, 4], ids=["a worker", "the change watcher", "the scheduler", "recovery"])
def test_a_thread_that_cannot_be_started_is_an_error_and_the_next_submission_works(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path, number: int
) -> None:
    host = start_host(_SCRIPT, tmp_path / "store", folder("print('hello')"), number)
    output, _ = host.communicate(timeout=60)
    assert output.splitlines() == ["refused True 0", "success", "0"]


# Lets the second worker's thread fail to start until all have tried who try at once: the submission, and the watcher of its commit.
_QUEUED = """
import sys, threading
import orchlite

store, bundle, gate = sys.argv[1:]

class Thread(threading.Thread):
    left = 8

    def start(self):
        if self.name == "orchlite-worker-2" and Thread.left:
            Thread.left -= 1
            raise RuntimeError("can't start new thread")
        super().start()

threading.Thread = Thread
with orchlite.Client(store, workers=2) as client:
    orchestration = client.upload_orchestration(path=bundle).wait()
    lasting = orchestration.run_once(json_args={"lasts": True})
    print(orchestration.run_once(json_args={"lasts": False}).wait(20).status(), lasting.last_runs()[0].status())
    open(gate, "w").close()
    print(lasting.wait(20).status())
"""


def test_a_queued_run_gets_its_thread_as_soon_as_one_can_be_started(start_host: StartHost, folder: MakeFolder, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    lasts = "json.load(open('../arguments.json'))['lasts']"
    program = f"import json, os, time\nwhile {lasts} and not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    output, _ = start_host(_QUEUED, tmp_path / "store", folder(program), gate).communicate(timeout=60)
    assert output.splitlines() == ["success running", "success"]
