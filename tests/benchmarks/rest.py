"""Benchmarks of the REST API over loopback: what HTTP adds to a call, and how long a server takes to start."""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import orchlite
from orchlite import rest as rest_api
from tests.benchmarks.measure import Action, interleaved, report, seconds_of, summary

_TASKS = 100_000

_START = """
import sys, urllib.request
import orchlite
client = orchlite.Client(sys.argv[1])
if sys.argv[2] == "serve":
    from orchlite import rest
    with rest.serve(client, port=0) as server:
        urllib.request.urlopen(server.url + "/v1/api/config").read()
else:
    client.list_workspaces()
"""


class Caller:
    """A client that keeps its connection, with next to no overhead of its own."""

    def __init__(self, server: rest_api.Server) -> None:
        address = urlsplit(server.url)
        self._connection = HTTPConnection(address.hostname or "", address.port or 0, timeout=30)
        self._headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}

    def __call__(self, path: str, **fields: object) -> Any:
        """Post JSON and return the JSON of the response."""
        self._connection.request("POST", f"/v1/api/{path}", json.dumps(fields), self._headers)
        response = self._connection.getresponse()
        content = response.read()
        assert response.status < 300, content
        return json.loads(content)

    def close(self) -> None:
        self._connection.close()


def rest(folder: Path) -> None:
    """Measure polling one task of many, running once, and starting a server."""
    source = folder / "source"
    source.mkdir()
    (source / "main.py").write_text("pass\n")
    with orchlite.Client(folder / "store") as client:
        orchestration = client.upload_orchestration(path=source).wait()
        task = orchestration.run_once()
        task.wait()
        with rest_api.serve(client, port=0) as server, closing(Caller(server)) as call:
            _running_once(orchestration, client, call)
            _polling(_multiplied(folder / "store" / "store.sqlite", task.id()), client, call)
    _starting(folder / "store")


def _running_once(orchestration: orchlite.Orchestration, client: orchlite.Client, call: Caller) -> None:
    """Measure the calls alone; the runs that they start end outside of the measurement."""
    order = {"orch_id": orchestration.id(), "workspace_id": orchestration.workspace_id(), "json": {}}
    actions: dict[str, Callable[[], str]] = {
        "python": lambda: orchestration.run_once().id(),
        "http": lambda: str(call("task/run_once", **order)["id"]),
    }
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for name in list(actions) * 101:
        task_ids: list[str] = []
        taken[name].append(seconds_of(lambda: task_ids.append(actions[name]())))  # noqa: B023 - called at once
        client.get_task_by_id(task_ids[0]).wait()
    added_ms = 1e3 * (statistics.median(taken["http"]) - statistics.median(taken["python"]))
    report("run_once over HTTP", added_ms, "ms over the Python call", "<= 5", http=summary(taken["http"]), python=summary(taken["python"]))


def _polling(task_ids: list[str], client: orchlite.Client, call: Caller) -> None:
    anyone = Random(1)

    def chosen() -> Iterator[str]:
        while True:
            yield anyone.choice(task_ids)

    ids = chosen()
    actions: dict[str, Action] = {
        "python": lambda: client.get_task_by_id(next(ids)).last_runs(limit=5),
        "http": lambda: call("task/get_by_id", id=next(ids)),
    }
    taken = interleaved(actions, rounds=501)
    polled = summary(taken["http"])
    report(f"get_by_id among {len(task_ids):,} tasks", polled["median_ms"], "ms", "<= 3", http=polled, python=summary(taken["python"]))


def _multiplied(database: Path, task_id: str) -> list[str]:
    """Copy a task and its run in the database and return the ids; through the library that would take minutes."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.create_function("numbered", 2, _numbered, deterministic=True)
        for table, changed in (("tasks", {"task_id"}), ("runs", {"task_id", "run_id"})):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "number"]
            values = [f"numbered({name}, n)" if name in changed else name for name in names]
            connection.execute(
                f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {_TASKS}) "
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {table}, numbers WHERE task_id = ?",
                (task_id,),
            )
    return [_numbered(task_id, number) for number in range(1, _TASKS + 1)]


def _numbered(identifier: str, number: int) -> str:
    return f"{identifier[:-8]}{number:08x}"


def _starting(store: Path) -> None:
    """Measure a new interpreter, imports included, less the time that a client alone takes."""
    command = [sys.executable, "-c", _START, str(store)]
    root = Path(__file__).parents[2]
    actions: dict[str, Action] = {kind: partial(subprocess.run, [*command, kind], check=True, cwd=root) for kind in ("client", "serve")}
    taken = interleaved(actions, rounds=15)
    seconds = statistics.median(taken["serve"]) - statistics.median(taken["client"])
    report("server start, to its first response", seconds, "s over a client", "<= 1.0", **{"with client": summary(taken["serve"])})
