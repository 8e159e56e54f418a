"""Benchmarks of schedules: how late slots are among ten thousand others, what these cost, and how long a year takes on a manual clock."""

from __future__ import annotations

import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import orchlite
from orchlite.testing import ManualClock, StubProcess
from tests.benchmarks.measure import report, seconds_of

_SCHEDULES = 10_000
_DUE_AT_ONCE = 200
_ROUNDS = 10
_AHEAD_SECONDS = 2.0
"""So long before they are due the slots are made known: hosts look for changes twice a second."""

_IDLE_SECONDS = 30.0
_ROOT = str(Path(__file__).parents[2])

# Keeps the schedules of a store until its standard input ends. Asked with a line, it tells the processor time used and its memory.
_HOST = """
import os, sys, orchlite
client = orchlite.Client(sys.argv[1], workers=2).start()
for line in sys.stdin:
    used = os.times()
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(used.user + used.system, status["VmRSS"].split()[0], flush=True)
client.close(drain=False)
"""


class _Host:
    """A host in a process of its own, so that measuring does not take its time."""

    def __init__(self, store: Path) -> None:
        command = [sys.executable, "-c", _HOST, str(store)]
        env = {**os.environ, "PYTHONPATH": _ROOT}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def usage(self) -> tuple[float, float]:
        """The seconds of processor time so far, and the mebibytes in memory."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("usage\n")
        self._process.stdin.flush()
        seconds, kibibytes = self._process.stdout.readline().split()
        return float(seconds), int(kibibytes) / 1024

    def end(self) -> None:
        self._process.communicate()


def schedules(folder: Path) -> None:
    """Ten thousand schedules: adding them, keeping them idle, and how late two hundred slots are that are due at one instant."""
    store, source = folder / "store", folder / "source"
    source.mkdir()
    (source / "main.py").write_text("pass\n")
    with orchlite.Client(store) as client:
        orchestration = client.upload_orchestration(path=source).wait()
        # None is due while this lasts: cron's smallest step is a minute, and the slots that are measured get their time by SQL.
        seconds = seconds_of(lambda: [orchestration.run_scheduled("task", "0 0 1 1 *") for _ in range(_SCHEDULES)])
    report("10,000 schedules, added", seconds, "s", "<= 6")
    host = _Host(store)
    try:
        _idle(host)
        _lateness(store)
    finally:
        host.end()


def _idle(host: _Host) -> None:
    time.sleep(3)  # it has just begun
    before, _ = host.usage()
    time.sleep(_IDLE_SECONDS)
    after, mebibytes = host.usage()
    report("10,000 schedules, idle", (after - before) / _IDLE_SECONDS * 100, "% of a core", "<= 0.1")
    report("10,000 schedules, memory", mebibytes, "MiB", "<= 40")


def _lateness(store: Path) -> None:
    late_ms: list[float] = []
    with closing(sqlite3.connect(store / "store.sqlite", timeout=10, isolation_level=None)) as database:
        for _ in range(_ROUNDS):
            late_ms += _late_ms(database)
            while database.execute("SELECT 1 FROM runs WHERE status IN ('queued', 'running') LIMIT 1").fetchone():
                time.sleep(0.05)
    ninety_nine = statistics.quantiles(late_ms, n=100, method="inclusive")[98]
    more = {"median_ms": round(statistics.median(late_ms), 3), "min_ms": round(min(late_ms), 3), "max_ms": round(max(late_ms), 3)}
    report("200 slots due at once among 10,000, p99 from slot to durable dispatch", ninety_nine, "ms", "<= 5", **more)


def _late_ms(database: sqlite3.Connection) -> list[float]:
    """Let the slots be due at one instant, and look, without a pause from then on, when their runs are there for another process."""
    at = time.time() + _AHEAD_SECONDS
    slot = int(at * 1e6)
    sql = "UPDATE tasks SET next_at = ? WHERE task_id IN (SELECT task_id FROM tasks WHERE schedule IS NOT NULL LIMIT ?)"
    database.execute(sql, (slot, _DUE_AT_ONCE))
    time.sleep(_AHEAD_SECONDS - 0.05)
    late_ms: list[float] = []
    version = None
    while len(late_ms) < _DUE_AT_ONCE:
        if version != (version := database.execute("PRAGMA data_version").fetchone()):
            now = time.time()
            [(count,)] = database.execute("SELECT COUNT(*) FROM runs WHERE slot_at = ?", (slot,)).fetchall()
            late_ms += [(now - at) * 1e3] * (count - len(late_ms))
    return late_ms


def year(folder: Path) -> None:
    """A year of an hourly schedule, on a clock that is moved by hand, with runs that are only said to end."""
    source = folder / "source"
    source.mkdir()
    (source / "main.py").write_text("pass\n")
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    with orchlite.Client.temporary(clock=clock, process=StubProcess()) as client:
        task = client.upload_orchestration(path=source).wait().run_scheduled("hourly", "@hourly", timezone="Europe/Berlin")
        seconds = seconds_of(lambda: clock.advance(days=365))
        runs = len(task.last_runs())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report("a year of an hourly schedule", seconds, "s", "about a second", runs=runs, peak_mib=round(peak))
