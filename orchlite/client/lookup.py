"""Finds handles by a name or the first digits of an id, and counts what a whole store contains now."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchlite.client.orchestration import Orchestration
from orchlite.client.task import Task
from orchlite.client.task_run import TaskRun
from orchlite.core.records import MeasuredRun
from orchlite.core.status import STARTS_NO_MORE, TaskKind
from orchlite.core.tables import Table
from orchlite.engine.engine import Engine
from orchlite.operations import liveness
from orchlite.store.lookups import RunKey, WantedRuns

if TYPE_CHECKING:
    from orchlite.client.health import Health
    from orchlite.client.model import Model
    from orchlite.client.pipeline import Pipeline, PipelineVersion
    from orchlite.client.report import Report
    from orchlite.operations.inference import InferenceLogs

_PREFIX = re.compile(r"[0-9a-f]{4}[0-9a-f-]{0,32}")


class Lookup:
    """Finds things in one open store: names in one workspace, ids in all of them. It starts and changes nothing."""

    def __init__(self, engine: Engine, workspace_id: int) -> None:
        self._engine = engine
        self._workspace_id = workspace_id
        self._rows = engine.store.lookups

    def orchestrations(self, word: str) -> list[Orchestration]:
        """Return the orchestrations of this name or, if there are none, those whose id begins with it (4 digits at least); newest first."""
        store = self._engine.store
        found = [Orchestration(self._engine, store.orchestrations.get(key)) for key in self._rows.orchestrations(*self._terms(word))]
        return [one for one in found if one.name() == word] or found

    def tasks(self, word: str) -> list[Task]:
        """Return the tasks of this name or, if there are none, those whose id begins with it; newest first.

        Killed tasks of the name are left out if another one is not killed.
        """
        found = [self._task(task_id) for task_id in self._rows.tasks(*self._terms(word))]
        named = [task for task in found if task.name() == word]
        return [task for task in named if task.status() != "killed"] or named or found

    def runs(self, word: str) -> list[TaskRun]:
        """Return the runs whose id begins with `word` (4 digits at least), newest first."""
        return self._runs(self._rows.runs(_prefix(word)))

    def called(self, word: str) -> list[Task]:
        """Return the workspace's tasks of this name, and those without a name whose orchestration has it.

        Killed ones are left out if there are others.
        """
        store = self._engine.store
        ids = [row.orchestration_id for row in store.orchestrations.of_workspace(self._workspace_id) if row.name == word]
        live = store.tasks.of_name(self._workspace_id, word, ids, killed=False)
        return [Task(self._engine, row) for row in live] or [task for task in self.tasks(word) if task.name() == word]

    def can_have_runs(self, task: Task) -> bool:
        """Return whether a run of the task has not ended, or it may start another."""
        if task.kind() in (TaskKind.SCHEDULED, TaskKind.CONTINUOUS) and task.status() not in STARTS_NO_MORE:
            return True
        newest = self._engine.store.runs.newest_to_wait_for(task.id())
        return newest is not None and not newest.status.is_final

    def newest_runs(self, wanted: WantedRuns) -> Table[TaskRun]:
        """Return the workspace's runs, newest first."""
        return self._runs(self._rows.newest_runs(self._workspace_id, wanted))

    def runs_below(self, one: Orchestration | Task | TaskRun, wanted: WantedRuns) -> Table[TaskRun]:
        """Return the runs of a task or of an orchestration, newest first; of a run, itself."""
        if isinstance(one, Orchestration):
            return self._runs(self._rows.runs_of_orchestration(one.id(), wanted))
        return self._runs(self._rows.runs_of_task(one.id(), wanted)) if isinstance(one, Task) else Table([one])

    def measured(self, runs: Iterable[TaskRun]) -> list[MeasuredRun]:
        """Return those of these runs that have left metrics, oldest first."""
        return self._engine.store.run_metrics.of_runs(run.id() for run in runs)

    def unfinished(self) -> Table[TaskRun]:
        """Return the running and queued runs of the whole store, packaging included, oldest first."""
        return self._runs(RunKey(run.run_id, run.task_id) for run in self._engine.store.maintenance.unfinished_runs())

    def last_good(self, run: TaskRun) -> TaskRun | None:
        """Return the newest successful run before this one: of its task or, if that has none, of a task of its name."""
        found = self._rows.last_success_before(run.id())
        return None if found is None else TaskRun(self._engine, *found)

    def failed_since(self, since: datetime) -> Table[TaskRun]:
        """Return the runs of the whole store that have failed since then, packaging included, newest first."""
        return self._runs(self._rows.failed_since(since))

    def due_next(self, limit: int) -> Table[Task]:
        """Return the tasks of the whole store that are due next, soonest first."""
        return Table(self._task(task_id) for task_id in self._rows.due_next(limit))

    def health(self, since: datetime) -> Health:
        """Return what is wrong in the whole store now, and what has gone wrong since then."""
        from orchlite.client.health import examine

        return examine(self._engine, since)

    def unattended(self) -> set[str]:
        """Return the ids of the runs on a cluster whose host is gone."""
        from orchlite.client.health import unattended

        return {run.id() for run in unattended(self._engine)}

    def report(self, since: datetime) -> Report:
        """Return what the tasks of the whole store have done since then."""
        from orchlite.client.report import compiled

        return compiled(self._engine, since)

    def suspended(self) -> Table[Task]:
        """Return the tasks of the whole store that are paused or in `schedule_error`, the last changed first."""
        return Table(self._task(task_id) for task_id in self._rows.suspended())

    def recurring_named(self, word: str) -> list[Task]:
        """Return the workspace's scheduled and continuous tasks of this name, killed ones too, the last changed first."""
        rows = self._engine.store.tasks.of_name(self._workspace_id, word, (), killed=True)
        return [Task(self._engine, row) for row in rows if row.kind is not TaskKind.ONCE]

    def pipelines(self, word: str) -> list[Pipeline]:
        """Return the workspace's pipeline of this name, if there is one."""
        from orchlite.client.pipeline import Pipeline  # here and below: most verbs need neither models nor pipelines

        row = self._engine.store.pipelines.find(self._workspace_id, word)
        return [] if row is None else [Pipeline(self._engine, row)]

    def models(self, word: str) -> list[Model]:
        """Return the workspace's model of this name, if there is one."""
        from orchlite.client.model import Model

        row = self._engine.store.models.find(self._workspace_id, word)
        return [] if row is None else [Model(self._engine, row)]

    def deployed_version(self, pipeline: Pipeline) -> PipelineVersion | None:
        """Return the version that is deployed; None if there is none."""
        from orchlite.client.pipeline import PipelineVersion

        version_id = self._engine.store.deployments.deployed_version(pipeline.id())
        return None if version_id is None else PipelineVersion(self._engine.store.pipelines.version(version_id))

    def inference_logs(self, pipeline: Pipeline, limit: int, since: datetime | None, until: datetime | None) -> InferenceLogs:
        """Return the records of a pipeline's inferences: the newest first or, with both dates, the oldest.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        from orchlite.operations import inference

        return inference.read_logs(self._engine.context, pipeline.id(), limit=limit, since=since, until=until)

    def log_path(self, run: TaskRun) -> Path | None:
        """Return the first segment of the run's log; None if the run was never claimed."""
        attempt = self._engine.poll_run(run.id()).attempt
        return self._engine.context.folder.run(run.id()).attempt(attempt).log if attempt else None

    def version(self) -> tuple[int, int]:
        """Return a value that changes with every commit of another process. It costs some microseconds."""
        return self._engine.store.version()

    def other_hosts(self) -> int:
        """Return how many other processes have the store open."""
        hosts = self._engine.context.folder.hosts
        others = (path.stem for path in hosts.glob("*.lock") if path.stem != self._engine.context.host_id)
        return sum(liveness.is_alive(hosts, host_id) for host_id in others)

    def are_schedules_kept(self) -> bool:
        """Return whether another process keeps the store's schedules."""
        context = self._engine.context
        return any(sign.host_id != context.host_id for sign in liveness.signs_of_life(context.folder.hosts))

    def has_started(self, run: TaskRun) -> bool:
        """Return whether the run's program was started, the run was placed on a cluster, or it has ended: it no longer needs this host."""
        folder = self._engine.context.folder.run(run.id())
        return folder.started.exists() or any(folder.path.glob("*/placed")) or run.status().is_final

    def _terms(self, word: str) -> tuple[int, str, str | None]:
        return self._workspace_id, word, _prefix(word)

    def _task(self, task_id: str) -> Task:
        return Task(self._engine, self._engine.store.tasks.get(task_id))

    def _runs(self, keys: Iterable[RunKey]) -> Table[TaskRun]:
        return Table(TaskRun(self._engine, *key) for key in keys)


def _prefix(word: str) -> str | None:
    return word.lower() if _PREFIX.fullmatch(word.lower()) else None
