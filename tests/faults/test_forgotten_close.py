"""Hosts that end without closing: the interpreter exits promptly, says what it leaves behind, and nothing of it is lost."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., subprocess.Popen[str]]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

_EXIT_SECONDS = 6
_OPENS = """
import os, sys, time, orchlite
client = orchlite.Client(sys.argv[1], workers=1)
orchestration = client.upload_orchestration(path=sys.argv[2]).wait()
def submit():
    [run] = orchestration.run_once().last_runs()
    print(run.id())
    return run
"""
_ENDS = {
    "idle": "submit().wait()",
    "never used": "",
    "busy": "run = submit(); next(run.logs(follow=True))",
    "queued": "run = submit(); submit(); submit(); next(run.logs(follow=True))",
    "just submitted": "submit()",
    "packaging": "client.upload_orchestration(path=sys.argv[2])",
}
_PROGRAM = "import time; print('begun'); time.sleep(0.4); print('ended')"


def _leave(host: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """Its exit code, the ids of its runs, and what it said at its end, which comes soon."""
    assert host.stdout is not None
    output, said = host.communicate(timeout=30)
    return host.returncode, output.split(), said


@pytest.mark.slow
@pytest.mark.parametrize("end", [pytest.param(end, marks=[pytest.mark.slow] * (end in ("idle", "just submitted"))) for end in _ENDS])
def test_a_host_that_forgets_to_close_exits_and_the_next_one_does_what_is_left(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, end: str
) -> None:
    store = tmp_path / "store"
    began = time.monotonic()
    host = start_host(_OPENS + _ENDS[end], store, folder(_PROGRAM), stderr=subprocess.PIPE)
    code, run_ids, said = _leave(host)
    assert (code, time.monotonic() - began < _EXIT_SECONDS) == (0, True)
    if end == "queued":
        assert said == f"orchlite: 2 runs are still queued in {store}; Client({str(store)!r}).start() executes them.\n"
    elif end in ("idle", "never used", "busy"):
        assert said == ""
    with orchlite.Client(store, workers=2).start() as client:
        assert [client.get_task_run_by_id(run_id).wait(10).status() for run_id in run_ids] == ["success"] * len(run_ids)
        for orchestration in client.list_orchestrations():
            orchestration.wait(10)
    check_store(store, run_ids, {run_id: ["begun", "ended"] for run_id in run_ids})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "code"),
    [("sys.exit(3)", 3), pytest.param("raise ValueError('mine')", 1, marks=pytest.mark.slow)],
    ids=["exit code", "exception"],
)
def test_the_end_of_a_host_that_forgets_to_close_is_its_own(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path, end: str, code: int
) -> None:
    host = start_host(f"{_OPENS}submit().wait(); {end}", tmp_path / "store", folder("pass"), stderr=subprocess.PIPE)
    assert _leave(host)[0] == code


@pytest.mark.slow
def test_leaving_by_an_exception_waits_for_nothing(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    script = f"{_OPENS}\nwith client:\n    next(submit().logs(follow=True))\n    raise ValueError('mine')\n"
    gate = tmp_path / "gate"
    program = f"import os, time; print('begun')\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint('ended')"
    host = start_host(script, store, folder(program), stderr=subprocess.PIPE)
    assert host.stdout is not None
    run_id = host.stdout.readline().strip()
    code, _, said = _leave(host)
    assert (code, said.splitlines()[-1]) == (1, "ValueError: mine")
    with orchlite.Client(store) as client:
        run = client.get_task_run_by_id(run_id)
        assert run.status() == "running"
        gate.touch()
        assert run.wait(20).status() == "success"
    check_store(store, [run_id], {run_id: ["begun", "ended"]})


def test_a_client_that_is_closed_while_threads_use_it_refuses_them_and_nothing_breaks(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path
) -> None:
    script = """
import sys, threading, time, orchlite

def use(client):
    try:
        while True:
            client.list_workspaces()
            client.get_workspace(f"w{time.time_ns()}", create_if_not_exist=True)
    except orchlite.Closed:
        refused.append(1)

for round in range(5):
    refused = []
    client = orchlite.Client(sys.argv[1], workers=1)
    threads = [threading.Thread(target=use, args=(client,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    client.close()
    for thread in threads:
        thread.join()
    assert len(refused) == 4
"""
    host = start_host(script, tmp_path / "store")
    assert host.wait(30) == 0


# A host whose devices take their time to close: what they report meanwhile is not taken for the end of the thing.
_SLOW_TO_CLOSE = """
import sys, time, orchlite
from orchlite.runs.runners import Runners

class Slow(Runners):
    def close(self):
        super().close()
        time.sleep(0.2)

store = sys.argv[1]
client = orchlite.Client(store, workers=1, process=Slow(f"{store}/runners.log"), index_urls=["http://192.0.2.1/simple"])
orchestration = client.upload_orchestration(path=sys.argv[2])
[run] = orchestration.task().last_runs()
while not run.logs():
    time.sleep(0.01)
client.close(drain=False)
"""


@pytest.mark.slow
def test_packaging_that_a_closing_host_cuts_off_is_not_an_error(start_host: StartHost, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    host = start_host(_SLOW_TO_CLOSE, store, folder({"main.py": "pass", "requirements.txt": "absent==1.0"}), HTTP_PROXY="", http_proxy="")
    assert host.wait(20) == 0
    with orchlite.Client(store) as client:
        [orchestration] = client.list_orchestrations()
        assert orchestration.status() == "pending_packaging"
