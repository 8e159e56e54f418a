"""A process that has a store open, and forks: the child may open the store for itself, and neither harms the other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

_PRELUDE = """
import os, signal, sys, time
import orchlite

client = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
orchestration = client.upload_orchestration(path=sys.argv[2]).wait()

def submit(client):
    orchestration = client.list_orchestrations()[0]
    [run] = orchestration.run_once(json_args={"by": os.getpid()}).last_runs()
    os.write(1, f"{run.id()}\\n".encode())  # in one piece: both processes write here
    return run

submit(client).wait()
"""

# Both processes write, the parent leaves first, and the child dies without closing anything.
_BOTH_USE_IT = (
    _PRELUDE
    + """
parent_closed, says_so = os.pipe()
if os.fork():
    submit(client).wait()
    client.close()
    os.write(says_so, b".")
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))

own = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
submit(own).wait()
os.read(parent_closed, 1)
for _ in range(3):
    submit(own).wait()
os._exit(0)
"""
)

_CHILD_USES_THE_PARENTS = (
    _PRELUDE
    + """
if (child := os.fork()) == 0:
    uses = [
        client.list_tasks, client.start, orchestration.run_once, lambda: client.upload_orchestration(path=sys.argv[2]),
        lambda: client.run(sys.argv[2]), client.list_tasks,
    ]
    for use in uses:
        try:
            use()
        except orchlite.Closed as error:
            print("refused:", error)
    client.close()
    sys.exit(0)

os.waitpid(child, 0)
print("child ended")
submit(client).wait()
client.close()
"""
)

_CHILD_OUTLIVES_THE_PARENT = (
    _PRELUDE
    + """
run = submit(client)
while not run.logs():
    time.sleep(0.005)
if os.fork() == 0:
    print("child", os.getpid())
    time.sleep(30)
time.sleep(30)
"""
)


def _lines(host: subprocess.Popen[str]) -> list[str]:
    return host.communicate(timeout=20)[0].split("\n")[:-1]


@pytest.mark.slow
def test_a_forked_child_with_a_client_of_its_own_loses_nothing_when_the_parent_closes(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    host = start_host(_BOTH_USE_IT, store, folder("print('ran')"))
    run_ids = _lines(host)
    assert host.wait(10) == 0
    assert len(run_ids) == 6
    orchlite.Client(store).close()
    statuses = check_store(store, run_ids, {run_id: ["ran"] for run_id in run_ids})
    assert set(statuses.values()) == {"success"}


@pytest.mark.slow
def test_a_forked_child_that_uses_its_parents_client_gets_an_error_and_the_parent_goes_on(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    host = start_host(_CHILD_USES_THE_PARENTS, store, folder("print('ran')"))
    first, *answers = _lines(host)
    assert host.wait(10) == 0
    *refusals, ended, last = answers
    assert refusals == ["refused: This client was opened by the parent process. Open a Client of its own in a forked process."] * 6
    assert ended == "child ended"
    assert set(check_store(store, [first, last]).values()) == {"success"}
    assert len(list((store / "bundles").iterdir())) == 1
    assert list((store / "hosts").iterdir()) == []


def test_a_forked_child_that_lives_on_does_not_keep_its_parent_alive_for_others(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    host = start_host(_CHILD_OUTLIVES_THE_PARENT, store, folder("import time; print('ran'); time.sleep(0.3)"))
    assert host.stdout is not None
    run_ids = [host.stdout.readline().strip() for _ in range(2)]
    child = int(host.stdout.readline().split()[1])
    host.kill()
    host.wait()
    try:
        with orchlite.Client(store) as client:
            assert client.get_task_run_by_id(run_ids[1]).wait(20).status() == "success"
        check_store(store, run_ids)
    finally:
        subprocess.run(["kill", "-9", str(child)], check=True)
