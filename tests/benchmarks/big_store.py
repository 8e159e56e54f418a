"""Makes a big store: `python tests/benchmarks/big_store.py FOLDER --runs 1000000 --tasks 100000 --events 2000000`.

The orchestrations and one run of each are real; the other tasks and runs are rows, as a store has them whose schedules were kept for
weeks: 60 % one-shot tasks, 39 % scheduled ones (nightly, hourly, every quarter of an hour), 1 % continuous ones, and runs that ended in
every way. No run is unfinished, and nothing is due before the next night. The same arguments make the same rows, apart from their times.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from random import Random
from typing import NamedTuple
from uuid import UUID
from zipfile import ZipFile

sys.path.insert(0, str(Path(__file__).parents[2]))

import orchlite
from orchlite.client.client import engine_of
from orchlite.core.records import SchedulePolicy, TaskRow
from orchlite.core.status import TaskKind, TaskStatus
from orchlite.store.database import to_microseconds

_ORCHESTRATIONS = ("churn features", "daily report", "drift check", "forecast", "import orders", "retraining", "scoring", "vacuum")
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_CACHE_KIBIBYTES = 500_000

_ENDS: tuple[tuple[str, int | None, str | None], ...] = (
    ("success", 0, None),
    ("failure", 1, None),
    ("timed_out", 143, "it ran for longer than its timeout of 3600 s"),
    ("killed", 143, "killed on request"),
    ("unknown", None, "its runner died before it recorded an outcome"),
)
_USUAL = (96.0, 2.4, 0.6, 0.6, 0.4)
_FLAKY = (70.0, 25.0, 2.0, 1.0, 2.0)
_SKIPPED_SHARE = 0.01
_LATE_SHARE = 0.005


class _Rhythm(NamedTuple):
    """A schedule, and how often it is due."""

    expression: str
    period: int
    """In microseconds."""
    offset: int
    """Of its slots, from multiples of the period."""


class _Task(NamedTuple):
    row: TaskRow
    rhythm: _Rhythm
    run_count: int
    typical_seconds: float
    weights: tuple[float, ...]


class _Maker:
    """The rows of one store, made up by chance that repeats itself."""

    def __init__(self, orchestration_ids: list[str], now: datetime) -> None:
        self._random = Random(1)
        self._orchestration_ids = orchestration_ids
        self._now = to_microseconds(now)
        self._host_id, self._boot_id = self._id(), self._id()

    def tasks(self, task_count: int, run_count: int) -> Iterator[_Task]:
        """Yield the tasks, with as many runs as there are to be: 1 of a one-shot task, the others by how often they are due."""
        kinds = [self._kind(number) for number in range(task_count)]
        rhythms = [None if kind is TaskKind.ONCE else self._rhythm(number) for number, kind in enumerate(kinds)]
        shares = [0.0 if rhythm is None else (_DAY / rhythm.period) ** 0.5 for rhythm in rhythms]
        left, shares_left = run_count - rhythms.count(None), sum(shares)
        for number, (kind, rhythm, share) in enumerate(zip(kinds, rhythms, shares, strict=True)):
            runs = round(left * share / shares_left) if share else 1
            if share:
                left, shares_left = left - runs, shares_left - share
            yield self._task(number, kind, rhythm or _Rhythm("", _DAY, self._random.randrange(_DAY)), runs)

    def runs(self, task: _Task) -> Iterator[tuple[object, ...]]:
        """Yield the rows of a task's runs, in the order of `_INSERT_RUN`."""
        is_slot = task.row.kind is TaskKind.SCHEDULED
        newest = (self._now - _HOUR - task.rhythm.offset) // task.rhythm.period
        first = newest - (self._random.randrange(30) if task.row.kind is TaskKind.ONCE else task.run_count - 1)
        for slot in range(first, first + task.run_count):
            at = slot * task.rhythm.period + task.rhythm.offset
            if is_slot and self._random.random() < _SKIPPED_SHARE:
                yield self._skipped(task, at)
            else:
                yield self._ended(task, at, at if is_slot else None)

    def _kind(self, number: int) -> TaskKind:
        return TaskKind.ONCE if number % 10 < 6 else TaskKind.CONTINUOUS if number % 100 == 99 else TaskKind.SCHEDULED

    def _rhythm(self, number: int) -> _Rhythm:
        minute, hour = self._random.randrange(60), self._random.randrange(6)
        match number % 10:
            case 6 | 7:
                return _Rhythm(f"{minute} {hour} * * *", _DAY, hour * _HOUR + minute * _MINUTE)
            case 8:
                return _Rhythm(f"{minute} * * * *", _HOUR, minute * _MINUTE)
            case _:
                return _Rhythm("*/15 * * * *", 15 * _MINUTE, 0)

    def _task(self, number: int, kind: TaskKind, rhythm: _Rhythm, runs: int) -> _Task:
        random = self._random
        created = self._now - _HOUR - runs * rhythm.period - random.randrange(30 * _DAY)
        status = self._status(kind)
        is_due = status in (TaskStatus.STARTED, TaskStatus.CRASH_LOOP) and kind is not TaskKind.ONCE
        row = TaskRow(
            task_id=self._id(),
            workspace_id=1,
            orchestration_id=random.choice(self._orchestration_ids),
            kind=kind,
            name=f"{random.choice(('eu', 'us', 'apac'))}-{random.choice(('sales', 'stock', 'churn', 'prices'))}-{number:06}",
            arguments='{"region": "eu", "rows": 1000}',
            timeout_seconds=3600.0,
            debug=False,
            env={},
            env_passthrough=(),
            status=status,
            reason="its five newest runs have failed within ten minutes" if status is TaskStatus.CRASH_LOOP else None,
            created_at=_datetime(created),
            updated_at=_datetime(created),
            schedule=SchedulePolicy(rhythm.expression, "UTC", "allow", "latest", None) if kind is TaskKind.SCHEDULED else None,
            # Whatever its rhythm, so that no host that keeps the schedules starts thousands of programs at once.
            next_at=_datetime((self._now // _DAY + 1) * _DAY + rhythm.offset) if is_due else None,
        )
        weights = _FLAKY if number % 50 == 7 or status is TaskStatus.CRASH_LOOP else _USUAL
        return _Task(row, rhythm, runs, random.lognormvariate(3.0, 1.2), weights)

    def _status(self, kind: TaskKind) -> TaskStatus:
        if kind is TaskKind.ONCE:
            [status] = self._random.choices((TaskStatus.STARTED, TaskStatus.KILLED), (98, 2))
        elif kind is TaskKind.CONTINUOUS:
            [status] = self._random.choices((TaskStatus.PAUSED, TaskStatus.KILLED, TaskStatus.CRASH_LOOP), (50, 30, 20))
        else:
            [status] = self._random.choices((TaskStatus.STARTED, TaskStatus.PAUSED, TaskStatus.KILLED), (85, 7, 8))
        return status

    def _ended(self, task: _Task, at: int, slot_at: int | None) -> tuple[object, ...]:
        random = self._random
        [(status, exit_code, reason)] = random.choices(_ENDS, task.weights)
        is_late = slot_at is not None and random.random() < _LATE_SHARE
        claimed_at = at + random.randrange(2_000, 900_000) + is_late * 5 * _MINUTE
        seconds = 3600.0 if status == "timed_out" else min(3000.0, task.typical_seconds * random.lognormvariate(0, 0.3))
        started_at, ended_at = claimed_at + 30_000, claimed_at + 30_000 + int(seconds * _SECOND)
        ids = (self._id(), task.row.task_id, status, 1, self._host_id, self._host_id, self._boot_id)
        told_by = "" if is_late else None
        return (*ids, at, claimed_at, started_at, ended_at, seconds, exit_code, reason, slot_at, told_by)

    def _skipped(self, task: _Task, at: int) -> tuple[object, ...]:
        ids = (self._id(), task.row.task_id, "skipped", 0, "", None, None)
        return (*ids, at + _MINUTE, None, None, at + _MINUTE, None, None, "missed: no host was running", at, "")

    def _id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


_COLUMNS = (
    "run_id, task_id, status, attempt, submitted_by, host_id, boot_id, created_at, claimed_at, started_at, ended_at, duration_seconds,"
    " exit_code, reason, slot_at, late_told_by"
)
_MAKE_TABLE = f"CREATE TEMP TABLE made_runs AS SELECT {_COLUMNS} FROM runs LIMIT 0"
_MAKE_RUN = f"INSERT INTO made_runs VALUES ({', '.join('?' * len(_COLUMNS.split(',')))})"
# The runs of packaging and of the programs are the newest.
_RENUMBER = "UPDATE runs SET number = number + (SELECT MAX(number) FROM runs) WHERE number <= ?"
_INSERT_RUNS = f"INSERT INTO runs ({_COLUMNS}) SELECT * FROM made_runs ORDER BY created_at"
_EVENTS = (
    "SELECT created_at AS at, task_id, NULL, status, NULL, 'task' FROM tasks"
    " UNION ALL SELECT created_at, run_id, NULL, 'queued', NULL, 'run' FROM runs WHERE status <> 'skipped'"
    " UNION ALL SELECT claimed_at, run_id, 'queued', 'running', NULL, 'run' FROM runs WHERE claimed_at IS NOT NULL"
    " UNION ALL SELECT ended_at, run_id, IIF(status = 'skipped', NULL, 'running'), status, reason, 'run' FROM runs"
)
_INSERT_EVENTS = (
    "INSERT INTO events (at, object_id, was, became, reason, kind)"
    f" SELECT * FROM (SELECT * FROM ({_EVENTS}) ORDER BY at DESC LIMIT ?) ORDER BY at"
)


def fill(client: orchlite.Client, tasks: int, runs: int, events: int) -> None:
    """Fill a new store up to these numbers of tasks, runs and events, those of packaging included. Block for a minute or two a million."""
    sources = [_upload(client, name) for name in _ORCHESTRATIONS]
    for source in sources:
        client.run(source)
    maker = _Maker([source.id() for source in sources], datetime.now(UTC))
    real = 2 * len(sources)
    store = engine_of(client).context.store
    with store.transaction() as transaction:
        transaction.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        transaction.execute(_MAKE_TABLE)
        for task in maker.tasks(tasks - real, runs - real):
            store.tasks.insert(transaction, task.row)
            transaction.execute_many(_MAKE_RUN, list(maker.runs(task)))
        transaction.execute(_INSERT_RUNS)
        transaction.execute(_RENUMBER, (real,))
        transaction.execute("DROP TABLE made_runs")
        transaction.execute("DELETE FROM events")
        transaction.execute(_INSERT_EVENTS, (events,))


def _upload(client: orchlite.Client, name: str) -> orchlite.Orchestration:
    bundle = BytesIO()
    with ZipFile(bundle, "w") as archive:
        archive.writestr("main.py", f"for step in range(100):\n    print({name!r}, 'step', step)\n")
    return client.upload_orchestration(bundle, name=name, file_name=f"{name}.zip").wait()


def _datetime(microseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)


def main() -> None:
    """Make the store that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=2_000_000)
    asked = parser.parse_args()
    with orchlite.Client(asked.folder) as client:
        fill(client, asked.tasks, asked.runs, asked.events)


if __name__ == "__main__":
    main()
