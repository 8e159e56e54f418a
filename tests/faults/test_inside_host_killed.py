"""Programs inside tasks whose host is killed, and programs that wait for what a killed host left."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
Folder = Callable[..., Path]
SECONDS = 30

HOST = """
import sys, orchlite
client = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
task = client.upload_orchestration(path=sys.argv[2]).wait().run_once(json_args={})
print(task.id())
sys.stdin.read()
"""

# Submits another run of itself when it is told to, and says what it saw at its own end.
OUTER = """
import os, time
from pathlib import Path
import orchlite
wl = orchlite.Client()
if wl.task_args().get("inner"):
    print("inner")
else:
    print("begun", flush=True)
    while not Path({gate!r}).exists(): time.sleep(0.01)
    me = wl.get_orchestration_by_id(wl.get_task_by_id(os.environ["WALLAROO_TASK_ID"]).orchestration())
    inner = me.run_once(json_args={{"inner": True}})
    print({say})
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that outer programs wait for."""
    return tmp_path / "gate"


@pytest.fixture
def killed_host(store: Path, folder: Folder, gate: Path, start_host: StartHost) -> Callable[[str], str]:
    """Have a host run an outer program, kill the host while that waits at the gate, and answer the task's id."""

    def kill(say: str) -> str:
        host = start_host(HOST, store, folder(OUTER.format(gate=str(gate), say=say)))
        task_id = said(host)
        await_begun(store)
        host.kill()
        host.wait()
        return task_id

    return kill


def await_begun(store: Path) -> None:
    """Until a program of the store has said that it has begun."""
    give_up_at = time.monotonic() + SECONDS
    while not any(b"begun" in log.read_bytes() for log in store.glob("runs/*/1/log")):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def said(host: subprocess.Popen[str]) -> str:
    """The next line that the host prints."""
    assert host.stdout is not None
    return host.stdout.readline().strip()


@pytest.mark.slow
def test_what_a_program_submits_when_its_host_is_dead_stays_queued_until_a_host_works_for_the_store(
    killed_host: Callable[[str], str], store: Path, gate: Path, check_store: CheckStore
) -> None:
    outer_id = killed_host("str(inner.last_runs()[0].status())")
    gate.touch()
    with orchlite.Client(store) as client:
        outer = client.get_task_by_id(outer_id).wait(SECONDS)
        assert (outer.status(), [line.text for line in outer.logs()]) == ("success", ["begun", "queued"])
        [inner] = [task for task in client.list_tasks() if task.id() != outer_id]
        assert inner.status() == "pending"
        client.start()
        assert "inner" in inner.wait(SECONDS).logs()
    assert set(check_store(store).values()) == {"success"}


def test_a_program_whose_host_was_killed_waits_for_a_run_that_the_next_host_does(
    killed_host: Callable[[str], str], store: Path, gate: Path, check_store: CheckStore
) -> None:
    outer_id = killed_host("str(inner.wait().status())")
    with orchlite.Client(store, workers=1) as client:
        client.start()
        gate.touch()
        outer = client.get_task_by_id(outer_id).wait(SECONDS)
        assert [line.text for line in outer.logs()] == ["begun", "success"]
    assert set(check_store(store).values()) == {"success"}


@pytest.mark.slow
def test_a_program_submits_to_the_host_that_has_adopted_it(
    killed_host: Callable[[str], str], store: Path, folder: Folder, gate: Path, check_store: CheckStore
) -> None:
    outer_id = killed_host("str(inner.wait().status())")
    with orchlite.Client(store, workers=1) as client:
        client.upload_orchestration(path=folder("pass"))  # from now on it has workers, for what was submitted to it
        gate.touch()
        assert [line.text for line in client.get_task_by_id(outer_id).wait(SECONDS).logs()] == ["begun", "success"]
    assert set(check_store(store).values()) == {"success"}


# Submits another run of itself, and waits for it when it is told to.
WAITS_LATER = """
import os, time
from pathlib import Path
import orchlite
wl = orchlite.Client()
if wl.task_args().get("inner"):
    print("inner")
else:
    me = wl.get_orchestration_by_id(wl.get_task_by_id(os.environ["WALLAROO_TASK_ID"]).orchestration())
    inner = me.run_once(json_args={{"inner": True}})
    print("begun", flush=True)
    while not Path({gate!r}).exists(): time.sleep(0.01)
    print(str(inner.wait().status()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("works", [False, True], ids=["a host that only waits", "a host that works for itself"])
def test_a_program_waits_for_what_it_submitted_before_its_host_was_killed(
    store: Path, folder: Folder, gate: Path, start_host: StartHost, check_store: CheckStore, works: bool
) -> None:
    host = start_host(HOST, store, folder(WAITS_LATER.format(gate=str(gate))))
    outer_id = said(host)
    await_begun(store)
    host.kill()
    host.wait()
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        if works:
            client.upload_orchestration(path=folder("pass"))
        gate.touch()
        assert [line.text for line in client.get_task_by_id(outer_id).wait(SECONDS).logs()] == ["begun", "success"]
    assert set(check_store(store).values()) == {"success"}


LEAVES_ONE = """
import sys, orchlite
client = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
client.run(sys.argv[2], {"inner": True})
print(client.list_orchestrations()[0].run_once(json_args={}).id())
print(client.list_orchestrations()[0].run_once(json_args={"inner": True}).id())
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_program_that_waits_for_what_a_killed_host_left_has_its_own_host_do_it(
    store: Path, folder: Folder, gate: Path, start_host: StartHost, check_store: CheckStore
) -> None:
    other = start_host(LEAVES_ONE, store, folder(OUTER.format(gate=str(gate), say="str(inner.wait().status())")))
    busy_id, left_id = said(other), said(other)
    other.kill()
    other.wait()
    waits = f"import orchlite\nprint(str(orchlite.Client().get_task_by_id({left_id!r}).wait().status()))"
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        client.get_task_by_id(busy_id).kill()
        client.get_task_by_id(busy_id).wait(SECONDS)
        assert client.run(folder(waits)).raise_for_failure().logs()[0].text == "success"
    assert set(check_store(store).values()) == {"success", "killed"}
