"""The library inside a task: a program can submit, wait, read and kill in the store of its own run, but starts nothing itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchlite

OpenClient = Callable[..., orchlite.Client]
Folder = Callable[..., Path]

_PRELUDE = """
import json, os, sys, threading, time
import orchlite
wl = orchlite.Client()
args = wl.task_args()
own_task = wl.get_task_by_id(os.environ["WALLAROO_TASK_ID"])
me = wl.get_orchestration_by_id(own_task.orchestration())
"""

_FAMILY = """
if args["below"] == 0:
    print("the last")
else:
    {wait}
    print("after", str(run.logs()).split()[-1], str(run.status()))
"""

_BLOCKS = """run = me.run_once(json_args={"below": args["below"] - 1}).wait()"""
_ASKS_TASK_AND_RUN = """task = me.run_once(json_args={"below": args["below"] - 1})
    while task.status() != "started": time.sleep(0.02)
    run = task.last_runs()[0]
    while run.status() == "running": time.sleep(0.02)"""
_ASKS_RUN = """[run] = me.run_once(json_args={"below": args["below"] - 1}).last_runs()
    while run.status() in ("queued", "running"): time.sleep(0.02)"""
_FOLLOWS = """[run] = me.run_once(json_args={"below": args["below"] - 1}).last_runs()
    for _ in run.logs(follow=True): pass
    run.wait()"""


@pytest.fixture
def run(open_client: OpenClient, folder: Folder) -> Callable[..., orchlite.TaskRun]:
    """Run a program as a task, on one worker, to its end; it has `wl`, `args`, `own_task` and `me`, its own orchestration."""

    def it(program: str, json_args: dict[str, Any] | None = None, **settings: object) -> orchlite.TaskRun:
        return open_client(**settings).run(folder(_PRELUDE + program), json_args, timeout=60).raise_for_failure()

    return it


Run = Callable[..., orchlite.TaskRun]


def began_after(run: orchlite.TaskRun, other: orchlite.TaskRun) -> bool:
    """Return whether the runs had the only worker one after the other."""
    started_at, ended_at = run.started_at(), other.ended_at()
    assert started_at is not None
    assert ended_at is not None
    return started_at > ended_at


@pytest.mark.slow
def test_a_program_submits_to_its_own_host_from_a_clean_environment_too(run: Run) -> None:
    ended = run(_FAMILY.format(wait=_BLOCKS), {"below": 1}, base_image="clean")
    assert str(ended.logs()) == "after last success\n"


_WAITS = {"wait": _BLOCKS, "task and run": _ASKS_TASK_AND_RUN, "run": _ASKS_RUN, "follow": _FOLLOWS}


@pytest.mark.slow
@pytest.mark.parametrize(
    "wait", [pytest.param(wait, marks=[pytest.mark.slow] * (name in ("wait", "run")), id=name) for name, wait in _WAITS.items()]
)
def test_a_program_yields_its_worker_slot_however_it_waits(run: Run, wait: str) -> None:
    assert str(run(_FAMILY.format(wait=wait), {"below": 1}).logs()) == "after last success\n"


@pytest.mark.slow
@pytest.mark.parametrize("wait", [pytest.param(wait, id=name) for name, wait in _WAITS.items()])
def test_programs_that_wait_for_each_other_three_deep_all_end_on_one_worker(run: Run, wait: str) -> None:
    ended = run(_FAMILY.format(wait=wait), {"below": 3})
    assert str(ended.logs()) == "after success success\n"


@pytest.mark.slow
def test_a_slot_is_kept_again_when_what_was_polled_has_ended(run: Run, open_client: OpenClient) -> None:
    program = """
if "inner" in args: sys.exit()
task = me.run_once(json_args={"inner": 1})
while task.status() != "started": time.sleep(0.06)
for _ in range(3): task.status(), time.sleep(0.06)
task.wait()
time.sleep(0.4)  # its host polls the store ten times a second
me.run_once(json_args={"inner": 2})
time.sleep(0.4)
"""
    outer = run(program)
    client = open_client()
    [task] = [task for task in client.list_tasks() if task.input_data() == {"inner": 2}]
    assert began_after(task.wait(timeout=20), outer)


@pytest.mark.slow
def test_a_slot_is_taken_back_when_a_wait_for_what_another_client_submitted_ends(run: Run, open_client: OpenClient) -> None:
    program = """
if "inner" in args: sys.exit()
first = me.run_once(json_args={"inner": 1})
orchlite.Client().get_task_by_id(first.id()).wait()
time.sleep(0.4)  # its host polls the store ten times a second
me.run_once(json_args={"inner": 2})
time.sleep(0.4)
"""
    outer = run(program)
    client = open_client()
    [task] = [task for task in client.list_tasks() if task.input_data() == {"inner": 2}]
    assert began_after(task.wait(timeout=20), outer)


@pytest.mark.slow
def test_two_threads_may_wait_at_once(run: Run) -> None:
    program = """
if args.get("name"):
    print(args["name"])
else:
    found = []
    def wait(name):
        found.append(str(me.run_once(json_args={"name": name}).wait().logs()))
    threads = [threading.Thread(target=wait, args=(name,)) for name in ("one", "two")]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(sorted(found))
"""
    assert str(run(program).logs()) == "['one\\n', 'two\\n']\n"


@pytest.mark.slow
def test_a_wait_that_ends_does_not_end_that_of_another_client_of_the_same_run(run: Run) -> None:
    # The second run starts only if its waiter still yields the slot after the first run's waiter has stopped waiting.
    program = """
if "below" in args:
    time.sleep(args["below"])
else:
    other = orchlite.Client()
    first = me.run_once(json_args={"below": 0.3})
    second = me.run_once(json_args={"below": 0})
    thread = threading.Thread(target=lambda: print(str(second.wait().status())))
    thread.start()
    other.get_task_by_id(first.id()).wait()
    thread.join()
"""
    assert str(run(program).logs()) == "success\n"


@pytest.mark.slow
def test_polling_once_is_no_wait_and_keeps_the_slot(run: Run, open_client: OpenClient) -> None:
    program = """
if args.get("inner"): sys.exit()
task = me.run_once(json_args={"inner": True})
print(task, task.last_runs())
time.sleep(0.4)  # its host polls the store ten times a second
"""
    outer = run(program)
    client = open_client()
    [task] = [task for task in client.list_tasks() if task.input_data()]
    assert began_after(task.wait(timeout=20), outer)


_POLLS_AND_WORKS = """
if "inner" in args: time.sleep(args["inner"]); sys.exit()
task = me.run_once(json_args={"inner": 3})
me.run_once(json_args={"inner": 0})
for _ in range(3): task.status(), time.sleep(0.2)
time.sleep(4)  # work of its own: it polls no more, and never sees the end of the first
"""
_DIES_WAITING = """
if "inner" in args: time.sleep(args["inner"]); sys.exit()
if (child := os.fork()) == 0:
    threading.Timer(0.5, os.kill, (os.getpid(), 9)).start()
    orchlite.Client().get_orchestration_by_id(me.id()).run_once(json_args={"inner": 2}).wait()
os.waitpid(child, 0)
time.sleep(12)
me.run_once(json_args={"inner": 0})
time.sleep(0.4)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(_POLLS_AND_WORKS, id="it does work of its own"),
        pytest.param(_DIES_WAITING, id="its process was killed"),
    ],
)
def test_a_program_that_waits_no_more_without_saying_so_gets_its_slot_back(run: Run, open_client: OpenClient, program: str) -> None:
    outer = run(program)
    [task] = [task for task in open_client().list_tasks() if task.input_data() == {"inner": 0}]
    assert began_after(task.wait(timeout=20), outer)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base_image", "wait"),
    [
        pytest.param("host", "orchestration.wait()", id="host, wait", marks=pytest.mark.slow),
        pytest.param("clean", "while orchestration.status() != 'ready': time.sleep(0.02)", id="clean, ask"),
    ],
)
def test_a_program_uploads_a_bundle_that_sees_what_it_sees_itself(run: Run, base_image: str, wait: str) -> None:
    program = f"""
from pathlib import Path
Path("inner").mkdir()
Path("inner/main.py").write_text("import importlib.util; print(bool(importlib.util.find_spec('pytest')))")
orchestration = wl.upload_orchestration(path="inner", name="inner")
{wait}
print(str(orchestration.run_once().wait().logs()).strip(), orchestration.name())
"""
    assert str(run(program, base_image=base_image).logs()) == f"{base_image == 'host'} inner\n"


@pytest.mark.slow
def test_a_program_may_choose_another_base_image_for_what_it_uploads(run: Run) -> None:
    program = """
from pathlib import Path
Path("inner").mkdir()
Path("inner/main.py").write_text("import importlib.util; print(bool(importlib.util.find_spec('pytest')))")
print(str(orchlite.Client(base_image="clean").run("inner").logs()).strip())
"""
    assert str(run(program).logs()) == "False\n"


@pytest.mark.parametrize("base_image", ["host", pytest.param("clean", marks=pytest.mark.slow)])
def test_a_bad_bundle_is_refused_inside_as_outside_and_nothing_is_stored(run: Run, base_image: str) -> None:
    program = """
from pathlib import Path
Path("inner").mkdir()
for requirements in ("", "requests=1", "-r more.txt"):
    Path("inner/requirements.txt").write_text(requirements)
    if requirements: Path("inner/main.py").write_text("pass")  # otherwise there is none
    try: wl.upload_orchestration(path="inner")
    except orchlite.InvalidInput as error: print(type(error).__name__, len(wl.list_orchestrations()))
"""
    assert str(run(program, base_image=base_image).logs()) == "BadBundle 1\nBadRequirement 1\nBadRequirement 1\n"


def test_a_program_reads_the_log_of_another_run_and_kills_it(
    open_client: OpenClient, folder: Folder, waiting_program: str, until: Callable[..., None]
) -> None:
    client = open_client(workers=2)
    other = client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
    until(lambda: other.last_runs() and "begun" in other.last_runs()[0].logs())
    program = """
[run] = wl.get_task_by_id(args["task"]).last_runs()
print(str(run.logs()).strip(), str(run.status()))
run.kill()
print(str(run.wait().status()), run.exit_code())
"""
    ended = client.run(folder(_PRELUDE + program), {"task": other.id()}).raise_for_failure()
    assert str(ended.logs()) == "begun running\nkilled 143\n"


def test_a_program_that_kills_its_own_run_is_killed(open_client: OpenClient, folder: Folder) -> None:
    program = "own_task.last_runs()[0].kill()\ntime.sleep(60)"
    assert open_client().run(folder(_PRELUDE + program)).status() == "killed"


def test_waiting_for_itself_is_refused(run: Run) -> None:
    program = """
own_run = own_task.last_runs()[0]
for wait in (own_task.wait, own_run.wait, lambda: own_run.wait(timeout=1)):
    try: wait()
    except orchlite.Conflict as error: print(error)
"""
    lines = list(run(program).logs())
    assert len(lines) == 3
    assert all("which cannot wait for its own end" in line for line in lines)


def test_starting_is_refused(run: Run) -> None:
    program = "try: wl.start()\nexcept orchlite.Conflict as error: print(error)"
    assert "starts nothing" in run(program).logs()


@pytest.mark.slow
def test_a_client_inside_a_task_is_no_host(run: Run, tmp_path: Path) -> None:
    program = """
hosts = lambda: sorted(os.listdir(os.path.join(os.environ["ORCHLITE_STORE"], "hosts")))
before = hosts()
second = orchlite.Client()
if not args.get("inner"):
    second.list_orchestrations()[-1].run_once(json_args={"inner": True}).wait()
print(json.dumps([len(before), before == hosts(), [thread.name for thread in threading.enumerate()]]))
"""
    assert json.loads(str(run(program).logs())) == [1, True, ["MainThread"]]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["wl.close()", pytest.param("with wl: pass", marks=pytest.mark.slow), ""], ids=["close", "with", "exit"])
def test_closing_inside_waits_for_nothing_and_prints_nothing(run: Run, open_client: OpenClient, end: str) -> None:
    program = f"""
if args.get("inner"): sys.exit()
me.run_once(json_args={{"inner": True}})
{end}
"""
    outer = run(program)
    assert list(outer.logs()) == []
    client = open_client()
    [task] = [task for task in client.list_tasks() if task.input_data()]
    assert began_after(task.wait(timeout=20), outer)


@pytest.mark.slow
def test_a_child_process_of_the_program_is_inside_too(run: Run) -> None:
    program = """
import subprocess
if args.get("inner"):
    print("inner")
else:
    code = "import orchlite as o; print(*o.Client().list_orchestrations()[-1].run_once(json_args={'inner': True}).wait().logs(), sep='')"
    print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()[-1])
"""
    assert str(run(program).logs()) == "inner\n"


def test_a_forked_child_opens_a_client_of_its_own(run: Run) -> None:
    program = """
child = os.fork()
if child == 0:
    try: wl.list_tasks()
    except orchlite.Closed: print("the parent's is refused", flush=True)
    print(len(orchlite.Client().list_tasks()), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert run(program).logs().__str__().endswith("1\n")


def test_the_store_under_another_path_is_the_same_one(run: Run) -> None:
    program = """
os.symlink(os.environ["ORCHLITE_STORE"], "link")
try: orchlite.Client("link").start()
except orchlite.Conflict: print("inside")
"""
    assert str(run(program).logs()) == "inside\n"


@pytest.mark.slow
def test_another_store_opened_inside_is_an_ordinary_one(run: Run, tmp_path: Path) -> None:
    program = """
from pathlib import Path
Path("inner").mkdir()
Path("inner/main.py").write_text("import os; print(os.environ['ORCHLITE_STORE'])")
with orchlite.Client(args["store"], workers=1) as other:
    print(str(other.run("inner").logs()).strip(), len(os.listdir(Path(args["store"]) / "hosts")))
with orchlite.Client.temporary() as other:
    print(other.start().run("inner").status())
"""
    other = tmp_path / "other store"
    assert str(run(program, {"store": str(other)}).logs()) == f"{other} 1\nsuccess\n"
