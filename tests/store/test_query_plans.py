"""SQLite explains the statements that the store executes: each finds its rows by the index that exists for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchlite.core.records import SkippedSlots
from orchlite.core.status import RunStatus
from orchlite.store.database import Database, Parameters, Row, Transaction
from orchlite.store.failures import Failures
from orchlite.store.inference_logs import InferenceLogs
from orchlite.store.lookups import Lookups, WantedRuns
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
_FIVE = WantedRuns(limit=5)
_FAILED = frozenset({RunStatus.FAILURE})
_FEW_ROWS = (
    "VIRTUAL TABLE",
    "INDEX runs_queued",
    "INDEX runs_running",
    "INDEX runs_unfinished",
    "SCAN late",
    "SCAN failed",
    "SCAN newest",
    "SCAN chain",
    "SCAN ran",
)
"""What may be read from end to end: values of a parameter, indexes of unfinished runs, and what a subquery has found by an index."""


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
        self.run_history = RunHistory(database)
        self.models, self.pipelines, self.inference_logs = Models(database), Pipelines(database), InferenceLogs(database)
        self.failures, self.overview = Failures(database), Overview(database)


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


_IN_THE_ORDER_OF_THE_INDEX: dict[str, tuple[str, Ask]] = {
    "the newest failures": ("runs_ended_badly", lambda on: on.failures.newest(None, _NOW, 5)),
    "the last runs of a task": ("runs_of_task_updated", lambda on: on.runs.of_task("task", 5)),
    "the newest run of a task": ("runs_of_task", _inside(lambda on, inside: on.runs.newest_of_task(inside, "task", 5))),
    "orchestrations that are packaged": ("orchestrations_of_workspace", lambda on: on.lookups.ready_orchestrations(1, 5)),
    "the history of a task": ("runs_of_task_updated", lambda on: on.run_history.newest("task", 5)),
    "the history of a task before a run": (
        "runs_of_task_updated (task_id=? AND <expr><?)",
        lambda on: on.run_history.newest("task", 5, "run"),
    ),
    "the run to wait for": ("runs_unfinished", lambda on: on.runs.newest_to_wait_for("task")),
    "the runs of a task that have not ended": (
        "runs_unfinished",
        _inside(lambda on, inside: on.runs.unfinished_of_task(inside, "task")),
    ),
    "the next run in the queue": ("runs_queued", lambda on: on.runs.next_claimable("host", _NOW, whole_store=False)),
    "the next run in the queue of any host": ("runs_queued", lambda on: on.runs.next_claimable("host", _NOW, whole_store=True)),
    "when the next try may start": ("runs_pending_tries", lambda on: on.tries.next_at(_NOW)),
    "the try after a run": ("runs_retried", lambda on: on.tries.after("run")),
    "whether another run has come": ("runs_of_task", _inside(lambda on, inside: on.tries.is_overtaken(inside, "run"))),
    "tries that wait too long": ("runs_pending_tries", _inside(lambda on, inside: on.tries.bring_forward(inside, _NOW))),
    "what a task has run before it is replaced": (
        "runs_of_task",
        _inside(lambda on, inside: on.task_versions.keep(inside, "task", _NOW)),
    ),
    "the metrics of a run": ("PRIMARY KEY", lambda on: on.run_metrics.get("run")),
    "runs that wait for others": ("runs_running", lambda on: on.waits.count("host", 0.0)),
    "bad ends": ("runs_ended_badly", lambda on: on.lookups.failed_since(_NOW)),
    "missed slots": ("runs_skipped", lambda on: on.runs.count_skipped("task")),
    "the newest skipped slot": (
        "runs_skipped",
        _inside(lambda on, inside: on.runs.add_to_newest_skipped(inside, "task", SkippedSlots(_NOW, "late"), _NOW)),
    ),
    "slots": ("COVERING INDEX runs_of_slot", lambda on: on.runs.slots_since("task", _NOW, _NOW + timedelta(days=1))),
    "one slot": ("COVERING INDEX runs_of_slot", lambda on: on.runs.has_slot("task", _NOW)),
    "the newest slot": ("COVERING INDEX runs_of_slot", lambda on: on.runs.newest_slot("task", _NOW)),
    "skipped slots to come": ("runs_of_slot", _inside(lambda on, inside: on.runs.skipped_after(inside, "task", _NOW))),
    "due tasks": ("tasks_due", lambda on: on.tasks.due(_NOW, 10)),
    "when the next task is due": ("tasks_due", lambda on: on.tasks.next_due()),
    "the tasks that are due next": ("tasks_due", lambda on: on.lookups.due_next(10)),
    "the tasks of a workspace": ("tasks_of_workspace", lambda on: on.tasks.of_workspace(1, killed=False)),
    "the tasks of an orchestration": ("tasks_of_orchestration", lambda on: on.tasks.of_orchestration("orchestration")),
    "the versions of a model": ("versions_of_model", lambda on: on.models.versions(1)),
    "the newest version of a model": ("versions_of_model", lambda on: on.models.newest_version(1)),
    "whether a model has these bytes": ("model_versions_of_sha", _inside(lambda on, inside: on.models.is_referenced(inside, "sha"))),
    "the models with these bytes": ("model_versions_of_sha", lambda on: on.models.of_sha("sha")),
    "the newest version of a pipeline": ("versions_of_pipeline", lambda on: on.pipelines.newest_version(1)),
    "the pipelines of a name": ("pipelines_of_name", lambda on: on.pipelines.named("fraud")),
    "the newest inference logs": ("logs_of_pipeline", lambda on: on.inference_logs.read(1, 10, size_limit_bytes=10)),
    "the inference logs of a period": (
        "logs_of_pipeline",
        lambda on: on.inference_logs.read(1, 10, size_limit_bytes=10, since=_NOW, until=_NOW, oldest_first=True, position=(_NOW, 1)),
    ),
    "old inference logs": ("logs_of_pipeline", _inside(lambda on, inside: on.inference_logs.delete_before(inside, 1, _NOW))),
    "the oldest inference logs": ("logs_of_pipeline", _inside(_trim)),
    "the orchestrations of a workspace": ("orchestrations_of_workspace", lambda on: on.orchestrations.of_workspace(1)),
}
_SORTED_BECAUSE_THEY_ARE_FEW: dict[str, tuple[str, Ask]] = {
    "the last runs of many tasks": ("runs_of_task_updated", lambda on: on.runs.newest_of_tasks(["task"], 5, _FAILED)),
    "the last runs of a task": ("INDEX runs_of_task (", lambda on: on.lookups.runs_of_task("task", _FIVE)),
    "the last runs of an orchestration": (
        "INDEX runs_of_task (",
        lambda on: on.lookups.runs_of_orchestration("orchestration", _FIVE),
    ),
    "the runs to delete with an orchestration": (
        "runs_of_version",
        _inside(lambda on, inside: on.task_versions.run_ids(inside, "orchestration")),
    ),
    "the tasks that ran an orchestration before": (
        "task_versions_of_orchestration",
        _inside(lambda on, inside: on.task_versions.live_tasks(inside, "orchestration")),
    ),
    "the metrics of many runs": ("PRIMARY KEY", lambda on: on.run_metrics.of_runs(["run"])),
    "the running runs": ("runs_running", lambda on: on.runs.running()),
    "what a host has submitted": ("runs_unfinished", lambda on: on.runs.unfinished_submitted_by("host")),
    "who has queued recurring runs": ("runs_queued", lambda on: on.runs.submitters_of_recurring()),
    "notifications to be sent": ("runs_to_be_told", lambda on: on.notifications.pending()),
    "notifications of lateness to be sent": ("runs_late_to_be_told", lambda on: on.notifications.pending()),
    "late slots to notify of": ("runs_late", lambda on: on.notifications.late(_NOW, _NOW, has_default=False)),
    "missed slots to notify of": ("runs_skipped_at", lambda on: on.notifications.late(_NOW, _NOW, has_default=False)),
    "late runs": ("runs_late", lambda on: on.lookups.late_since(_NOW, _NOW)),
    "skipped slots": ("runs_skipped_at", lambda on: on.lookups.skipped_since(_NOW)),
    "troubles": ("runs_ended_badly", lambda on: on.overview.troubles(_NOW)),
    "slots that were late": ("runs_late", lambda on: on.overview.troubles(_NOW)),
    "slots that were missed": ("runs_skipped_at", lambda on: on.overview.troubles(_NOW)),
    "packaging that has failed": ("runs_ended_badly", lambda on: on.lookups.packaging_failed_since(_NOW)),
    "the last runs of one-shot tasks": ("runs_of_task", lambda on: on.overview.runs_of_once(1, "report", 5)),
    "overdue tasks": ("tasks_due", lambda on: on.lookups.overdue(_NOW)),
    "the last success before a run": ("INDEX runs_of_task (", lambda on: on.lookups.last_success_before("run")),
    "the orchestrations of a SHA": ("orchestrations_of_sha", lambda on: on.orchestrations.of_sha("sha")),
}


_STATEMENTS = _IN_THE_ORDER_OF_THE_INDEX | _SORTED_BECAUSE_THEY_ARE_FEW


@pytest.mark.parametrize(("index", "ask"), [pytest.param(*each, id=name) for name, each in _STATEMENTS.items()])
def test_a_statement_finds_its_rows_by_an_index(tables: _Tables, index: str, ask: Ask) -> None:
    ask(tables)
    steps = tables.database.steps
    assert any(index in step for step in steps), steps
    assert [step for step in steps if step.startswith("SCAN") and not any(few in step for few in _FEW_ROWS)] == []


@pytest.mark.parametrize("ask", [pytest.param(ask, id=name) for name, (_, ask) in _IN_THE_ORDER_OF_THE_INDEX.items()])
def test_many_rows_are_not_sorted(tables: _Tables, ask: Ask) -> None:
    ask(tables)
    assert tables.database.steps != []
    assert [step for step in tables.database.steps if "TEMP B-TREE" in step] == []
