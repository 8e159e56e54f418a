"""SQLite explains the statements that the store executes: each finds its rows by the index that exists for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from orchlite.core.records import SkippedSlots
from orchlite.core.status import RunStatus
from orchlite.store.activity import Activity
from orchlite.store.database import Database, Parameters, Row, Transaction
from orchlite.store.events import Events
from orchlite.store.failures import Failures
from orchlite.store.inference_logs import InferenceLogs
from orchlite.store.lookups import Lookups, WantedRuns
from orchlite.store.maintenance import StoreMaintenance
from orchlite.store.models import Models
from orchlite.store.notifications import Notifications
from orchlite.store.orchestrations import Orchestrations
from orchlite.store.overview import Overview
from orchlite.store.pipelines import Pipelines
from orchlite.store.run_history import RunHistory
from orchlite.store.run_metrics import RunMetrics
from orchlite.store.runs import Runs
from orchlite.store.store import Store
from orchlite.store.task_versions import TaskVersions
from orchlite.store.tasks import Tasks
from orchlite.store.tries import Tries
from orchlite.store.waits import Waits

_NOW = datetime(2026, 3, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_FIVE = WantedRuns(limit=5)
_FAILED = frozenset({RunStatus.FAILURE})
_FEW_ROWS = (
    *(
        "VIRTUAL TABLE",
        "SCAN late",
        "SCAN failed",
        "SCAN newest",
        "SCAN chain",
        "SCAN ran",
        "SCAN titled",
        "SCAN (subquery",
        "SCAN workspaces",
    ),
    *("INDEX runs_queued", "INDEX runs_running", "INDEX runs_unfinished", "INDEX runs_unsuccessful", "INDEX runs_skipped"),
    "INDEX tasks_recurring",
)
"""What may be read from end to end: values of a parameter, what a subquery has found by an index, workspaces, and indexes of few rows."""


class _ExplainingTransaction(Transaction):
    def __init__(self, inner: Transaction, steps: list[str]) -> None:
        self._inner = inner
        self._steps = steps

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        self._steps += _plan(self._inner.rows, sql, parameters)
        return self._inner.execute(sql, parameters)

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        self._steps += _plan(self._inner.rows, sql, parameters)
        return self._inner.rows(sql, parameters)

    def each(self, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
        self._steps += _plan(self._inner.rows, sql, parameters)
        return self._inner.each(sql, parameters)


class _ExplainingDatabase(Database):
    """Records the query plan of every statement, then executes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.steps: list[str] = []

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        self.steps += _plan(super().rows, sql, parameters)
        return super().rows(sql, parameters)

    @contextmanager
    def transaction(self, *, urgent: bool = False, durable: bool = True) -> Iterator[Transaction]:
        with super().transaction(urgent=urgent, durable=durable) as transaction:
            yield _ExplainingTransaction(transaction, self.steps)


def _plan(read: Callable[[str, Parameters], list[Row]], sql: str, parameters: Parameters) -> list[str]:
    return [row["detail"] for row in read(f"EXPLAIN QUERY PLAN {sql}", parameters)]


class _Tables:
    """The tables of one store, on a database that records query plans."""

    def __init__(self, database: _ExplainingDatabase) -> None:
        self.database = database
        self.orchestrations, self.tasks, self.runs = Orchestrations(database), Tasks(database), Runs(database)
        self.lookups, self.waits, self.notifications = Lookups(database), Waits(database), Notifications(database)
        self.tries, self.task_versions, self.run_metrics = Tries(database), TaskVersions(database), RunMetrics(database)
        self.events, self.maintenance, self.run_history = Events(database), StoreMaintenance(database), RunHistory(database)
        self.models, self.pipelines, self.inference_logs = Models(database), Pipelines(database), InferenceLogs(database)
        self.failures, self.overview, self.activity = Failures(database), Overview(database), Activity(database)


@pytest.fixture
def tables(store: Store, tmp_path: Path) -> Iterator[_Tables]:
    database = _ExplainingDatabase(tmp_path / "store.sqlite")
    yield _Tables(database)
    database.close()


Ask = Callable[[_Tables], object]


def _inside(ask: Callable[[_Tables, Transaction], object]) -> Ask:
    """Execute a statement that needs a transaction."""

    def it(tables: _Tables) -> None:
        with tables.database.transaction() as transaction:
            ask(tables, transaction)

    return it


def _trim(on: _Tables, inside: Transaction) -> None:
    pipeline = on.pipelines.find_or_create(inside, 1, "fraud", _NOW)
    on.inference_logs.trim(inside, pipeline.pipeline_id, row_limit=-1, size_limit_bytes=0, kept=1)


class _Path(NamedTuple):
    """A path that people or hosts wait for: its rows are found by an index."""

    step: str
    """A part of a step of the plan, mostly the name of the index."""
    ask: Ask
    is_sorted: bool = False
    """Whether what was found is sorted, because it is little; everything else comes in the order of the index."""


_PATHS = {
    "the newest failures": _Path("runs_ended_badly", lambda on: on.failures.newest(None, _NOW, 5)),
    "the last runs of a task": _Path("runs_of_task_updated", lambda on: on.runs.of_task("task", 5)),
    "the newest run of a task": _Path("runs_of_task", _inside(lambda on, inside: on.runs.newest_of_task(inside, "task", 5))),
    "orchestrations that are packaged": _Path("orchestrations_of_workspace", lambda on: on.lookups.ready_orchestrations(1, 5)),
    "the history of a task": _Path("runs_of_task_updated", lambda on: on.run_history.newest("task", 5)),
    "the history of a task before a run": _Path(
        "runs_of_task_updated (task_id=? AND <expr><?)",
        lambda on: on.run_history.newest("task", 5, "run"),
    ),
    "the run to wait for": _Path("runs_unfinished", lambda on: on.runs.newest_to_wait_for("task")),
    "the runs of a task that have not ended": _Path(
        "runs_unfinished",
        _inside(lambda on, inside: on.runs.unfinished_of_task(inside, "task")),
    ),
    "the next run in the queue": _Path("runs_queued", lambda on: on.runs.next_claimable("host", _NOW, whole_store=False)),
    "the next run in the queue of any host": _Path("runs_queued", lambda on: on.runs.next_claimable("host", _NOW, whole_store=True)),
    "when the next try may start": _Path("runs_pending_tries", lambda on: on.tries.next_at(_NOW)),
    "the try after a run": _Path("runs_retried", lambda on: on.tries.after("run")),
    "whether another run has come": _Path("runs_of_task", _inside(lambda on, inside: on.tries.is_overtaken(inside, "run"))),
    "tries that wait too long": _Path("runs_pending_tries", _inside(lambda on, inside: on.tries.bring_forward(inside, _NOW))),
    "what a task has run before it is replaced": _Path(
        "runs_of_task",
        _inside(lambda on, inside: on.task_versions.keep(inside, "task", _NOW)),
    ),
    "the metrics of a run": _Path("PRIMARY KEY", lambda on: on.run_metrics.get("run")),
    "runs that wait for others": _Path("runs_running", lambda on: on.waits.count("host", 0.0)),
    "bad ends": _Path("runs_ended_badly", lambda on: on.lookups.failed_since(_NOW)),
    "missed slots": _Path("runs_skipped", lambda on: on.runs.count_skipped("task")),
    "the newest skipped slot": _Path(
        "runs_skipped",
        _inside(lambda on, inside: on.runs.add_to_newest_skipped(inside, "task", SkippedSlots(_NOW, "late"), _NOW)),
    ),
    "slots": _Path("COVERING INDEX runs_of_slot", lambda on: on.runs.slots_since("task", _NOW, _NOW + timedelta(days=1))),
    "one slot": _Path("COVERING INDEX runs_of_slot", lambda on: on.runs.has_slot("task", _NOW)),
    "the newest slot": _Path("COVERING INDEX runs_of_slot", lambda on: on.runs.newest_slot("task", _NOW)),
    "skipped slots to come": _Path("runs_of_slot", _inside(lambda on, inside: on.runs.skipped_after(inside, "task", _NOW))),
    "due tasks": _Path("tasks_due", lambda on: on.tasks.due(_NOW, 10)),
    "when the next task is due": _Path("tasks_due", lambda on: on.tasks.next_due()),
    "the tasks that are due next": _Path("tasks_due", lambda on: on.lookups.due_next(10)),
    "the tasks of a workspace": _Path("tasks_of_workspace", lambda on: on.tasks.of_workspace(1, killed=False)),
    "the tasks of an orchestration": _Path("tasks_of_orchestration", lambda on: on.tasks.of_orchestration("orchestration")),
    "the versions of a model": _Path("versions_of_model", lambda on: on.models.versions(1)),
    "the newest version of a model": _Path("versions_of_model", lambda on: on.models.newest_version(1)),
    "whether a model has these bytes": _Path("model_versions_of_sha", _inside(lambda on, inside: on.models.is_referenced(inside, "sha"))),
    "the models with these bytes": _Path("model_versions_of_sha", lambda on: on.models.of_sha("sha")),
    "the newest version of a pipeline": _Path("versions_of_pipeline", lambda on: on.pipelines.newest_version(1)),
    "the pipelines of a name": _Path("pipelines_of_name", lambda on: on.pipelines.named("fraud")),
    "the newest inference logs": _Path("logs_of_pipeline", lambda on: on.inference_logs.read(1, 10, size_limit_bytes=10)),
    "the inference logs of a period": _Path(
        "logs_of_pipeline",
        lambda on: on.inference_logs.read(1, 10, size_limit_bytes=10, since=_NOW, until=_NOW, oldest_first=True, position=(_NOW, 1)),
    ),
    "old inference logs": _Path("logs_of_pipeline", _inside(lambda on, inside: on.inference_logs.delete_before(inside, 1, _NOW))),
    "the oldest inference logs": _Path("logs_of_pipeline", _inside(_trim)),
    "the orchestrations of a workspace": _Path("orchestrations_of_workspace", lambda on: on.orchestrations.of_workspace(1)),
    "the last runs of many tasks": _Path("runs_of_task_updated", lambda on: on.runs.newest_of_tasks(["task"], 5, _FAILED), is_sorted=True),
    "the runs of a task, newest first": _Path("INDEX runs_of_task (", lambda on: on.lookups.runs_of_task("task", _FIVE), is_sorted=True),
    "the last runs of an orchestration": _Path(
        "INDEX runs_of_task (",
        lambda on: on.lookups.runs_of_orchestration("orchestration", _FIVE),
        is_sorted=True,
    ),
    "the runs to delete with an orchestration": _Path(
        "runs_of_version",
        _inside(lambda on, inside: on.task_versions.run_ids(inside, "orchestration")),
        is_sorted=True,
    ),
    "the tasks that ran an orchestration before": _Path(
        "task_versions_of_orchestration",
        _inside(lambda on, inside: on.task_versions.live_tasks(inside, "orchestration")),
        is_sorted=True,
    ),
    "the metrics of many runs": _Path("PRIMARY KEY", lambda on: on.run_metrics.of_runs(["run"]), is_sorted=True),
    "the schedules that are kept": _Path("tasks_due", lambda on: on.activity.schedules(1, _NOW), is_sorted=True),
    "the tasks with a schedule": _Path("tasks_due", lambda on: on.activity.scheduled_tasks(1, ["{}"])),
    "the tasks that have changed": _Path("tasks_of_workspace", lambda on: on.activity.changed_tasks(1, _NOW, 5), is_sorted=True),
    "the tasks at work": _Path("runs_unfinished", lambda on: on.activity.unfinished_tasks(1, 5), is_sorted=True),
    "how much tasks have run": _Path("runs_of_task_updated", lambda on: on.activity.count(["task"], _NOW), is_sorted=True),
    "what tasks have run": _Path("runs_of_task_updated", lambda on: on.activity.runs(["task"], _NOW, _NOW), is_sorted=True),
    "what tasks have run in sums": _Path("runs_of_task_updated", lambda on: on.activity.sums(["task"], _NOW, _NOW, _HOUR), is_sorted=True),
    "when runs have failed": _Path("runs_ended_badly", lambda on: on.activity.failed(_NOW, _NOW, _HOUR), is_sorted=True),
    "when runs were late": _Path("runs_late", lambda on: on.activity.late(_NOW, _NOW, _HOUR), is_sorted=True),
    "the running runs": _Path("runs_running", lambda on: on.runs.running(), is_sorted=True),
    "what a host has submitted": _Path("runs_unfinished", lambda on: on.runs.unfinished_submitted_by("host"), is_sorted=True),
    "who has queued recurring runs": _Path("runs_queued", lambda on: on.runs.submitters_of_recurring(), is_sorted=True),
    "notifications to be sent": _Path("runs_to_be_told", lambda on: on.notifications.pending(), is_sorted=True),
    "notifications of lateness to be sent": _Path("runs_late_to_be_told", lambda on: on.notifications.pending(), is_sorted=True),
    "late slots to notify of": _Path("runs_late", lambda on: on.notifications.late(_NOW, _NOW, has_default=False), is_sorted=True),
    "missed slots to notify of": _Path("runs_skipped_at", lambda on: on.notifications.late(_NOW, _NOW, has_default=False), is_sorted=True),
    "late runs": _Path("runs_late", lambda on: on.lookups.late_since(_NOW, _NOW), is_sorted=True),
    "skipped slots": _Path("runs_skipped_at", lambda on: on.lookups.skipped_since(_NOW), is_sorted=True),
    "overdue tasks": _Path("tasks_due", lambda on: on.lookups.overdue(_NOW), is_sorted=True),
    "the last success before a run": _Path("INDEX runs_of_task (", lambda on: on.lookups.last_success_before("run"), is_sorted=True),
    "the orchestrations of a SHA": _Path("orchestrations_of_sha", lambda on: on.orchestrations.of_sha("sha"), is_sorted=True),
    "a page of tasks": _Path("tasks_of_workspace", lambda on: on.tasks.of_workspace(1, killed=False, limit=5, after=(_NOW, "task"))),
    "the first tasks of a workspace": _Path("tasks_of_workspace", lambda on: on.tasks.ids_of_workspace(1, killed=False, limit=5)),
    "the first tasks of all workspaces": _Path("tasks_of_workspace", lambda on: on.tasks.all_ids(killed=False, limit=5), is_sorted=True),
    "the first tasks of orchestrations": _Path(
        "tasks_of_orchestration", lambda on: on.tasks.ids_of_orchestrations(["orchestration"], killed=False, limit=5), is_sorted=True
    ),
    "the tasks of a name": _Path(
        "tasks_of_name", lambda on: on.tasks.of_name(1, "nightly", ["orchestration"], killed=False), is_sorted=True
    ),
    "the newest tasks of a name": _Path("tasks_of_name", lambda on: on.lookups.tasks(1, "nightly", "abcd"), is_sorted=True),
    "recurring tasks": _Path("tasks_recurring", lambda on: on.lookups.recurring(), is_sorted=True),
    "whether a store needs a host": _Path("tasks_recurring", lambda on: on.lookups.count_recurring()),
    "tasks in trouble": _Path("tasks_recurring", lambda on: on.lookups.unsound(), is_sorted=True),
    "paused tasks": _Path("tasks_recurring", lambda on: on.lookups.suspended(), is_sorted=True),
    "the schedules that a host keeps": _Path("tasks_recurring", lambda on: on.tasks.scheduled()),
    "the newest runs of a workspace": _Path("PRIMARY KEY (rowid>?)", lambda on: on.lookups.newest_runs(1, _FIVE)),
    "the runs of a workspace since a time": _Path("runs_created", lambda on: on.lookups.newest_runs(1, WantedRuns(since=_NOW))),
    "the unfinished runs of a workspace": _Path(
        "runs_unfinished", lambda on: on.lookups.newest_runs(1, WantedRuns({RunStatus.QUEUED}, limit=5)), is_sorted=True
    ),
    "the failed runs of a workspace": _Path("runs_unsuccessful", lambda on: on.lookups.newest_runs(1, WantedRuns(_FAILED, limit=5))),
    "the killed runs of a workspace": _Path(
        "runs_unsuccessful", lambda on: on.lookups.newest_runs(1, WantedRuns({RunStatus.KILLED}, limit=5))
    ),
    "the skipped slots of a workspace": _Path(
        "runs_skipped", lambda on: on.lookups.newest_runs(1, WantedRuns({RunStatus.SKIPPED}, limit=5)), is_sorted=True
    ),
    "the unfinished runs of a store": _Path("runs_unfinished", lambda on: on.maintenance.unfinished_runs(), is_sorted=True),
    "runs by the first digits of an id": _Path("autoindex_runs", lambda on: on.lookups.runs("abcd"), is_sorted=True),
    "events after one": _Path("PRIMARY KEY (rowid>?)", lambda on: on.events.after(1, 5)),
    "the newest events": _Path("PRIMARY KEY (rowid>?)", lambda on: on.events.after(0, 5, newest_first=True)),
    "events since a time": _Path("events_at (at>?)", lambda on: on.events.since(_NOW, 5)),
    "the newest events since a time": _Path("events_at (at>?)", lambda on: on.events.since(_NOW, 5, newest_first=True)),
    "troubles": _Path("runs_ended_badly", lambda on: on.overview.troubles(_NOW), is_sorted=True),
    "slots that were late": _Path("runs_late", lambda on: on.overview.troubles(_NOW), is_sorted=True),
    "slots that were missed": _Path("runs_skipped_at", lambda on: on.overview.troubles(_NOW), is_sorted=True),
    "packaging that has failed": _Path("runs_ended_badly", lambda on: on.lookups.packaging_failed_since(_NOW), is_sorted=True),
    "whether a task that failed has succeeded since": _Path(
        "runs_of_task (task_id=? AND number>?)", lambda on: on.overview.troubles(_NOW), is_sorted=True
    ),
    "the last runs of fifty tasks": _Path(
        "runs_of_task_updated (task_id=?)", lambda on: on.overview.newest_runs(["1", "2"], 5), is_sorted=True
    ),
    "the titles of tasks": _Path("(task_id=?)", lambda on: on.overview.titled(["1", "2"])),
    "the last runs of one-shot tasks": _Path("runs_of_task", lambda on: on.overview.runs_of_once(1, "report", 5), is_sorted=True),
}


@pytest.mark.parametrize("path", [pytest.param(path, id=name) for name, path in _PATHS.items()])
def test_what_people_wait_for_finds_its_rows_by_an_index_and_sorts_only_a_few(tables: _Tables, path: _Path) -> None:
    path.ask(tables)
    steps = tables.database.steps
    assert any(path.step in each for each in steps), steps
    assert [step for step in steps if step.startswith("SCAN") and not any(few in step for few in _FEW_ROWS)] == []
    assert path.is_sorted or [step for step in steps if "TEMP B-TREE" in step] == []
