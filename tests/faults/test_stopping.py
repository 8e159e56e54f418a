"""Hosts that are told to stop at an awkward moment: suspended, or while they wait for their runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

MakeFolder = Callable[..., Path]
StartHost = Callable[..., "subprocess.Popen[str]"]

_FOREVER = """
import sys, threading
import orchlite

client = orchlite.Client(sys.argv[1], workers=4).start()
threading.Timer(0.2, lambda: print("ready", flush=True)).start()
client.run_forever()
"""

_DRAINS = """
import sys
import orchlite

try:
    with orchlite.Client(sys.argv[1], workers=1) as client:
        orchestration = client.upload_orchestration(path=sys.argv[2]).wait()
        tasks = [orchestration.run_once() for _ in range(3)]
        print("submitted", flush=True)
except KeyboardInterrupt:
    print("interrupted", len(list(client.path().joinpath("hosts").iterdir())), flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_suspended_host_stops_when_it_is_continued(start_host: StartHost, tmp_path: Path, stop: signal.Signals) -> None:
    host = start_host(_FOREVER, tmp_path / "store")
    assert host.stdout is not None
    assert host.stdout.readline() == "ready\n"
    for number in (signal.SIGSTOP, stop, signal.SIGCONT):  # the kernel may give the signal to any thread of the process
        os.kill(host.pid, number)
    assert host.wait(10) == 0


def test_an_interrupt_while_runs_are_awaited_closes_the_client_and_leaves_the_queue(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    host = start_host(_DRAINS, store, folder("import time; time.sleep(1)"))
    assert host.stdout is not None
    assert host.stdout.readline() == "submitted\n"
    time.sleep(0.3)
    os.kill(host.pid, signal.SIGINT)
    assert host.stdout.readline() == "interrupted 0\n"
    time.sleep(1.5)  # the run in flight ends under its runner; nothing starts the others
    with orchlite.Client(store) as client:
        assert sorted(task.last_runs()[0].status() for task in client.list_tasks())[-1:] == ["success"]
        assert [task.last_runs()[0].status() for task in client.list_tasks()].count(orchlite.RunStatus.QUEUED) == 2
    host.communicate("\n", timeout=10)
