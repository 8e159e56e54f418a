"""A host that dies between its request to kill a run and the signal to the run's owner: another host signals."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

_PATIENCE_SECONDS = 30.0

# Dies after it has stored its request, before it signals the owner of the run.
_KILLS_AND_DIES = """
import os, signal, sys, orchlite
from orchlite.runs.runners import Runners

class Deadly(Runners):
    def cancel(self, folder, reason):
        os.kill(os.getpid(), signal.SIGKILL)

client = orchlite.Client(sys.argv[1], process=Deadly(f"{sys.argv[1]}/runners.log"))
task = client.get_task_by_id(sys.argv[2])
(task if sys.argv[3] == "task" else task.last_runs()[0]).kill()
"""
_ENDLESS = "import time; print('begun', flush=True); time.sleep(60)"


@pytest.mark.parametrize("what", ["run", pytest.param("task", marks=pytest.mark.slow)])
def test_a_host_that_works_for_the_store_signals_for_the_dead_one(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, what: str
) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1, grace_seconds=0.5).start() as client:
        task = client.upload_orchestration(path=folder(_ENDLESS)).wait().run_once()
        [run] = task.last_runs()
        next(iter(run.logs(follow=True)))
        killer = start_host(_KILLS_AND_DIES, store, task.id(), what)
        assert killer.wait(_PATIENCE_SECONDS) == -signal.SIGKILL
        assert run.wait(_PATIENCE_SECONDS).status() == "killed"
    check_store(store, [run.id()], {run.id(): ["begun"]})


def test_the_next_host_that_opens_the_store_signals_for_the_dead_one(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        task = client.upload_orchestration(path=folder(_ENDLESS)).wait().run_once()
        [run] = task.last_runs()
        next(iter(run.logs(follow=True)))
        killer = start_host(_KILLS_AND_DIES, store, task.id(), "run")
        assert killer.wait(_PATIENCE_SECONDS) == -signal.SIGKILL
        orchlite.Client(store).close()
        assert run.wait(_PATIENCE_SECONDS).status() == "killed"
    check_store(store, [run.id()], {run.id(): ["begun"]})
