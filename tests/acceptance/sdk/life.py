"""What a user of the platform does with its SDK, the part that is the same in both versions; run by an environment's interpreter.

Each function takes a client and returns facts about what it saw: strings, numbers and lists of them, without ids and times, so that
a test can compare them as they are. Everything goes through the SDK's own objects; nothing here knows which server responds.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Facts = dict[str, Any]
T = TypeVar("T")

PROGRAM = """\
import json, os, sys, time
import wallaroo

wl = wallaroo.Client()
arguments = wl.task_args()
what = arguments.get("what")
if what == "fail":
    raise ValueError("no such warehouse")
if what == "sleep":
    print("asleep", flush=True)
    time.sleep(600)
print("in a task:", wl.in_task())
print(json.dumps(arguments, sort_keys=True, ensure_ascii=False))
print()
print("grüße  with  gaps", file=sys.stderr)
"""

ARGUMENTS = {"name": "Ada", "ratio": 0.5, "deep": {"list": [1, None, "ü"]}}

# It never ends by itself, and is what the task that runs continuously does.
SERVICE = "import time\nprint('serving', flush=True)\ntime.sleep(600)\n"


def zipped(**files: str) -> bytes:
    """A ZIP of these files; `main_py="…"` is `main.py`, as keywords have no dots."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            # With a time of its own, so that the same files are the same bytes.
            archive.writestr(zipfile.ZipInfo(re.sub("_(?=[a-z]+$)", ".", name)), text)
    return buffer.getvalue()


def until(ask: Callable[[], T], is_it: Callable[[T], object], seconds: float = 90) -> T:
    """Return what `ask` returns as soon as `is_it` is true of it."""
    end = time.monotonic() + seconds
    while not is_it(answer := ask()):
        if time.monotonic() > end:
            raise TimeoutError(f"still {answer!r} after {seconds} s")
        time.sleep(0.05)
    return answer


def refusal(call: Callable[[], Any]) -> str:
    """The class of what `call` raises, and its text."""
    try:
        answer = call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"no refusal, but {answer!r}"


def cells(markup: str) -> list[list[str]]:
    """The rows of a notebook's table."""
    rows = re.findall(r"<tr\b.*?>(.*?)</tr>", markup, re.DOTALL)
    return [[html.unescape(cell).strip() for cell in re.findall(r"<t[dh]>(.*?)</t[dh]>", row, re.DOTALL)] for row in rows]


def columns(markup: str, *names: str) -> list[list[str]]:
    """These columns of a table that has a heading, its rows sorted."""
    heading, *rows = cells(markup)
    return sorted([row[heading.index(name)] for name in names] for row in rows)


def fields(markup: str, *names: str) -> list[str]:
    """These values of a table that has one field a row."""
    values = dict(row for row in cells(markup) if len(row) == 2)
    return [values[name] for name in names]


def uploaded(wl: Any, name: str, program: str) -> Any:
    """An orchestration of this program, when it is ready."""
    orchestration = wl.upload_orchestration(bytes_buffer=zipped(main_py=program), name=name, file_name=f"{name}.zip")
    until(orchestration.status, lambda status: status in ("ready", "error"))
    return orchestration


def uploads(wl: Any, folder: Path) -> tuple[Any, Facts]:
    """Upload by path and as bytes, wait until they are ready, and be refused."""
    content = zipped(main_py=PROGRAM, requirements_txt="wallaroo==2025.2.5\n")
    path = folder / "greeting.zip"
    path.write_bytes(content)
    greeting = wl.upload_orchestration(path=str(path), name="greeting")
    nameless = wl.upload_orchestration(bytes_buffer=zipped(main_py=SERVICE))
    for one in (greeting, nameless):
        until(one.status, lambda status: status in ("ready", "error"))
    return greeting, {
        "greeting": [greeting.name(), greeting.file_name(), greeting.status()],
        "nameless": [nameless.name(), nameless.file_name(), nameless.status()],
        "sha is that of the bytes": greeting.sha() == hashlib.sha256(content).hexdigest(),
        "in the current workspace": greeting._workspace_id == wl.get_current_workspace().id(),
        "created before updated": greeting.created_at() <= greeting.updated_at(),
        "without main.py": refusal(lambda: wl.upload_orchestration(bytes_buffer=zipped(other_py=""))),
        "no zip": refusal(lambda: wl.upload_orchestration(bytes_buffer=b"hello")),
        "without anything": refusal(wl.upload_orchestration),
    }


def last_run(task: Any) -> Any:
    """A task's newest run, when it has ended."""

    def has_ended(runs: list[Any]) -> bool:
        return bool(runs) and runs[0]._status != "running"

    return until(task.last_runs, has_ended)[0]


def texts(run: Any, limit: int | None = None) -> list[str]:
    """What a run wrote, as stream, mark and text, sorted by stream: the order of two streams is no fact."""
    return sorted((line.split(" ", 1)[1] for line in run.logs(limit)), key=lambda line: line.split(" ")[0])


def one_run(wl: Any, orchestration: Any) -> Facts:
    """Run once with arguments; return the run, its log and their tables."""
    task = orchestration.run_once(name="greet", json_args=ARGUMENTS)
    until(task.status, lambda status: status == "started")
    run = last_run(task)
    shown = run.logs()._repr_html_().removeprefix("<pre><code>").removesuffix("</code></pre>")
    again = wl.get_task_by_id(str(task.id()))
    return {
        "run": run._status,
        "log": texts(run),
        "its newest line": len(run.logs(1)),
        "log as it is shown": sorted(line[20:].strip() for line in shown.split("\n")),
        "arguments": again.input_data() == ARGUMENTS,
        "task": [again.name(), again.status(), again._killed],
        "task as it is shown": fields(again._repr_html_(), "Name", "Last Run Status", "Type", "Active", "Schedule"),
        "runs as they are shown": columns(task.last_runs()._repr_html_(), "status"),
        "run as it is shown": fields(run._repr_html_(), "Status"),
    }


def bad_ends(orchestration: Any) -> Facts:
    """A run that fails, one that is too slow, and a task that is refused."""
    failing = orchestration.run_once(name="failing", json_args={"what": "fail"})
    slow = orchestration.run_once(name="slow", json_args={"what": "sleep"}, timeout=1)
    failed, late = last_run(failing), last_run(slow)
    return {
        "failed": [failed._status, failing.status(), texts(failed)[-1]],
        "its failures": len(failing.last_runs(status="failure")),
        "its successes": len(failing.last_runs(status="success")),
        "of all one": len(failing.last_runs(limit=1, status="all")),
        "a status that is none": refusal(lambda: failing.last_runs(status="lost")).split(":")[0],
        "timed out": [late._status, slow.status(), texts(late)],
        "a bad timeout": refusal(lambda: orchestration.run_once(name="bad", timeout=-1)),
        "a bad schedule": refusal(lambda: orchestration.run_scheduled(name="bad", schedule="99 * * * *")),
    }


def kill(wl: Any, orchestration: Any) -> Facts:
    """Kill a task with a run in progress."""
    task = orchestration.run_once(name="sleeper", json_args={"what": "sleep"})
    until(lambda: [run for run in task.last_runs() if run.logs()], bool)
    answer = str(getattr(task.kill(), "value", "no status"))

    def names(killed: bool) -> list[str]:
        return [one.name() for one in wl.list_tasks(killed=killed)]

    until(lambda: names(killed=False), lambda listed: "sleeper" not in listed)
    return {
        "answer": answer,
        "run": last_run(task)._status,
        "task": [task.status(), task._killed],
        "listed": ["sleeper" in names(killed=False), "sleeper" in names(killed=True)],
        "shown": fields(task._repr_html_(), "Name", "Last Run Status", "Active"),
    }


def every_minute(orchestration: Any) -> Any:
    """A task whose first run begins with the next minute."""
    return orchestration.run_scheduled(name="minutely", schedule="* * * * *", json_args={"by": "schedule"}, timeout=30)


def schedule(task: Any) -> Facts:
    """Wait for the first slot of a schedule, then kill its task."""
    run = until(lambda: task.last_runs(status="success"), bool)[0]
    log = texts(run)
    shown = fields(task._repr_html_(), "Name", "Type", "Active", "Schedule")
    status = task.status()
    task.kill()
    return {"run": run._status, "arguments": '{"by": "schedule"}' in " ".join(log), "task": status, "shown": shown}


def connections(wl: Any) -> Facts:
    """Make, find, show, share and remove connections."""
    details = {"host": "db.example.com", "port": 5432, "password": "hunter2"}
    made = wl.create_connection(name="warehouse", connection_type="postgres", details=details)
    found = wl.get_connection(name="warehouse")
    workspace = wl.get_current_workspace()
    facts: Facts = {"made": [made.name(), made.connection_type(), made.details() == details, made.workspace_names()]}
    workspace.add_connection("warehouse")
    facts |= {
        "found": [str(found.id()) == str(made.id()), found.details() == details],
        "of the workspace": [one.name() for one in workspace.list_connections()],
        "shared": [names == [workspace.name()] for names in [wl.get_connection(name="warehouse").workspace_names()]],
        "shown": columns(wl.list_connections()._repr_html_(), "name", "connection type", "details"),
        "alone": fields(found._repr_html_(), "Name", "Connection Type", "Details"),
        "again": refusal(lambda: wl.create_connection(name="warehouse", connection_type="postgres", details={})),
        "unknown": refusal(lambda: wl.get_connection(name="nowhere")),
    }
    workspace.remove_connection("warehouse")
    facts["of the workspace, removed"] = [one.name() for one in workspace.list_connections()]
    found.delete_connection()
    return facts | {"deleted": [wl.list_connections()._repr_html_(), refusal(lambda: wl.get_connection(name="warehouse"))]}


def users(wl: Any) -> Facts:
    """List the users, and add one to the current workspace who has it already."""
    [owner] = wl.list_users()
    workspace = wl.get_current_workspace()
    return {
        "owner": [owner.username(), owner.enabled()],
        "of the workspace": [user.id() == owner.id() for user in workspace.users()],
        "made an owner": workspace.add_owner(owner.email()).name() == workspace.name(),
        "added": refusal(lambda: workspace.add_user(owner.email())),
        "a stranger": refusal(lambda: workspace.add_user("stranger@example.com")),
    }


def lists(wl: Any, orchestration: Any) -> Facts:
    """Every list as a notebook shows it."""
    return {
        "orchestrations": columns(wl.list_orchestrations()._repr_html_(), "name", "status", "filename"),
        "orchestration": fields(orchestration._repr_html_(), "Name", "File Name", "Status"),
        "tasks": columns(wl.list_tasks(killed=True)._repr_html_(), "name", "type", "active", "schedule"),
        "the last that changed is first": wl.list_tasks(killed=True)[0].name(),
        "of the orchestration": columns(orchestration.list_tasks()._repr_html_(), "name"),
        "workspaces": [row[0] for row in cells(wl.list_workspaces()._repr_html_())[1:]],
    }
