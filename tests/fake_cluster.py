"""A cluster that is a folder: any process with the folder is a client of it, and its jobs outlive the hosts that place them.

A job executes `main.py` of its bundle with this interpreter. Files in the folder make the cluster fail: see the methods of `FakeCluster`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchlite.core.errors import Closed
from orchlite.core.records import Packages, Placement
from orchlite.runs.cluster import ClusterRefused, ClusterUnreachable, Job, PlacedRun
from orchlite.runs.observation import checked_result
from orchlite.runs.spec import Alive, Ended, Lost, NeverStarted, Observation

_POLL_SECONDS = 0.01

_NODE = r"""
import json, os, signal, subprocess, sys, time
from pathlib import Path
from zipfile import ZipFile

folder, bundle = Path(sys.argv[1]), sys.argv[2]
document = json.loads((folder / "job.json").read_bytes())
work = folder / "work"
with ZipFile(bundle) as archive:
    archive.extractall(work)
env = {**os.environ, **document["task"]["env"], "ARGUMENTS": document["task"]["arguments"], "RUN_ID": document["run"]["run_id"]}
begun_ns = time.time_ns()
pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
program = subprocess.Popen([sys.executable, "-u", "main.py"], cwd=work, env=env, text=True, **pipes)
killed = []

def kill(number, frame):
    killed.append(number)
    program.kill()

signal.signal(signal.SIGTERM, kill)
(folder / "pid").write_text(str(os.getpid()))
with open(folder / "log", "a") as log:
    for line in program.stdout:
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09}Z stdout F {line}")
        log.flush()
code = program.wait()
status = "killed" if killed else "success" if code == 0 else "failure"
metrics = json.loads((work / "metrics.json").read_text()) if (work / "metrics.json").exists() else {}
result = {
    "run_id": document["run"]["run_id"], "attempt": document["run"]["attempt"], "status": status,
    "exit_code": code if code >= 0 else 128 - code, "started_at_ns": begun_ns, "ended_at_ns": time.time_ns(),
    "duration_seconds": (time.time_ns() - begun_ns) / 1e9, "reason": (folder / "cancel").read_text() if killed else None,
    "log_complete": True, "left": [], "packages_sha": None,
    "packages": {"python": "3.11.0", "installed": ["six==1.17.0"], "host": []}, "metrics": metrics,
}
(folder / "result.new").write_text(json.dumps(result))
(folder / "result.new").rename(folder / "result")
"""


class FakeCluster:
    """Implements `orchlite.runs.cluster.Cluster`."""

    name = "fake"

    def __init__(self, folder: Path, max_runs: int | None = None) -> None:
        self.folder = Path(folder)
        self.max_runs = max_runs
        self._jobs = self.folder / "jobs"
        self._jobs.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "session").exists():
            self.restart()
        self._closed = threading.Event()

    # What happens to it

    def go_down(self) -> None:
        """Respond to nobody. Jobs continue."""
        (self.folder / "down").touch()

    def come_back(self) -> None:
        (self.folder / "down").unlink()

    def refuse(self, *, accept: bool = False) -> None:
        """Accept no client."""
        (self.folder / "refusing").unlink() if accept else (self.folder / "refusing").touch()

    def restart(self) -> None:
        """Forget every job, and begin a new session."""
        # In this order: a cluster that has forgotten a job in the same session is something else.
        aside = self.folder / "session.new"
        aside.write_text(str(uuid.uuid4()))
        aside.replace(self.folder / "session")
        self.end_jobs()

    def end_jobs(self) -> None:
        """Kill all jobs, and forget them."""
        for job in list(self._jobs.iterdir()):
            self.lose(job.name)

    def lose(self, job_id: str) -> None:
        """Kill a job, and forget it."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(int((self._jobs / job_id / "pid").read_text()), signal.SIGKILL)
        shutil.rmtree(self._jobs / job_id, ignore_errors=True)

    def starts(self) -> list[str]:
        """The ids of the jobs in the order in which they were started, of all sessions."""
        with suppress(FileNotFoundError):
            return (self.folder / "starts").read_text().splitlines()
        return []

    # The interface

    def reserve(self, run_id: str, attempt: int) -> Placement:
        self._check()
        return Placement(self.name, f"{run_id}-{attempt}", self._session())

    def place(self, job: Job, placement: Placement) -> None:
        self._check()
        if placement.session != self._session():
            raise ClusterUnreachable("The cluster was started again.")
        folder = self._jobs / placement.job_id
        aside = self._jobs.with_name(f"{uuid.uuid4()}")
        aside.mkdir()
        (aside / "job.json").write_bytes(job.document)
        try:
            aside.rename(folder)  # fails if the job is there
        except OSError:
            shutil.rmtree(aside)
            return
        with (self.folder / "starts").open("a") as file:
            file.write(f"{placement.job_id}\n")
        node = subprocess.Popen([sys.executable, "-c", _NODE, str(folder), str(job.bundle)], start_new_session=True)
        threading.Thread(target=node.wait, daemon=True).start()  # or it would be a zombie

    def wait(self, run: PlacedRun, report: Callable[[str], None]) -> Observation:
        is_down = False
        while not self._closed.wait(_POLL_SECONDS):
            try:
                self._check()
            except (ClusterUnreachable, ClusterRefused) as error:
                if not is_down:
                    report(f"{error} Its program may still be running.")
                is_down = True
                continue
            if is_down:
                report("")
            is_down = False
            observed = self._look(run)
            self._copy_log(run)
            if not isinstance(observed, Alive):
                return observed
        raise Closed("This client is closed.")

    def cancel(self, run: PlacedRun, reason: str) -> None:
        self._check()
        folder = self._jobs / run.placement.job_id
        if run.placement.session == self._session() and folder.exists() and not (folder / "result").exists():
            while not (folder / "pid").exists():
                time.sleep(_POLL_SECONDS)
            (folder / "cancel").write_text(reason)
            with suppress(ProcessLookupError):
                os.kill(int((folder / "pid").read_text()), signal.SIGTERM)

    def close(self) -> None:
        self._closed.set()

    def _check(self) -> None:
        if (self.folder / "down").exists():
            raise ClusterUnreachable("The cluster does not respond.")
        if (self.folder / "refusing").exists():
            raise ClusterRefused("The cluster accepts no client without a token.", hint="Set FAKE_TOKEN.")

    def _session(self) -> str:
        return (self.folder / "session").read_text()

    def _look(self, run: PlacedRun) -> Observation:
        if run.placement.session != self._session():
            return Lost(run.attempt, "the cluster was started again; the program may still be running, so its outcome is not known")
        folder = self._jobs / run.placement.job_id
        if not folder.exists():
            return NeverStarted()
        try:
            found: dict[str, Any] = json.loads((folder / "result").read_bytes())
        except FileNotFoundError:
            return Alive()
        return Ended(run.attempt, checked_result(found), Packages.from_json(found["packages"]), found["metrics"])

    def _copy_log(self, run: PlacedRun) -> None:
        with suppress(FileNotFoundError), (self._jobs / run.placement.job_id / "log").open("rb") as source, run.log.open("ab") as copy:
            source.seek(copy.tell())
            copy.write(source.read())
