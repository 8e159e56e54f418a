"""Executes one claimed run where the runs of this host are executed, and records the outcome; on this machine, by its runners."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from orchlite.core.errors import Closed, IllegalMove, OrchliteError
from orchlite.core.files import private_opener
from orchlite.core.folders import RunFolder
from orchlite.core.records import RunResult, RunRow
from orchlite.core.status import FAILED, RunStatus
from orchlite.operations import metrics, notification, outcome, packaging, preparation, recorded_environments
from orchlite.operations.context import Assignment, Context
from orchlite.operations.installation import Provided, ensure_environment, install_files
from orchlite.operations.outcome import Outcome, Recorded
from orchlite.operations.postponement import try_postpone
from orchlite.operations.run_spec import spec_of
from orchlite.runs.observation import packages_sha
from orchlite.runs.spec import Alive, Ended, Lost, NeverStarted, Observation, RunSpec
from orchlite.store.database import Transaction

if TYPE_CHECKING:
    from orchlite.operations.cluster_site import ClusterSite

_MAX_ATTEMPTS = 3
_MAX_ATTEMPTS_ACROSS_HOSTS = 50
_log = logging.getLogger(__name__)


class LocalSite:
    """This machine, where the runners of this host execute runs. `ClusterSite` has the same methods."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def execute(self, assignment: Assignment) -> Observation | None:
        """Start a claimed run and wait for its end; never return `Alive`. None: it is queued again, or its claim was withdrawn.

        Raises:
            Closed: the store was closed meanwhile; the next host recovers the run.
            StoreDamaged: the store accepts no writes any more.
        """
        context, run = self._context, assignment.run
        folder = context.folder.run(run.run_id)
        spec = assignment.spec or _try_prepare(context, assignment, folder)
        if not assignment.is_claimed():
            preparation.withdraw(context, run.run_id)
            return None
        if assignment.is_prepared:
            preparation.settle(context, run.run_id)
        _log.info("run %s of %s starts", run.run_id, assignment.label)
        return _start_and_wait(context, assignment, folder, spec)

    def wait(self, run: RunRow) -> Observation:
        """Wait for the end of a run that another host has started; never return `Alive`."""
        return self._context.process.wait(self._context.folder.run(run.run_id))

    def observe(self, run: RunRow) -> Observation:
        """Return what has become of the run. Never blocks.

        Raises:
            OSError: a resource is lacking for the moment, which says nothing about the run.
        """
        return self._context.process.observe(self._context.folder.run(run.run_id))

    def discard(self, run: RunRow) -> tuple[int, ...]:
        """Kill the processes that a lost run has left; return the ids of those that cannot be killed. Block for up to 10 s."""
        return self._context.process.discard(self._context.folder.run(run.run_id))


def site_of_host(context: Context) -> LocalSite | ClusterSite:
    """Return where the runs that this host claims are executed."""
    return LocalSite(context) if context.cluster is None else _cluster_site(context)


def site_of_run(context: Context, run: RunRow) -> LocalSite | ClusterSite | None:
    """Return where the run is executed; None: on a cluster that this host does not have."""
    if run.placement is None:
        return LocalSite(context)
    return _cluster_site(context) if context.cluster is not None and context.cluster.name == run.placement.engine else None


def _cluster_site(context: Context) -> ClusterSite:
    from orchlite.operations.cluster_site import ClusterSite  # a host without a cluster does not need it

    return ClusterSite(context)


def execute(context: Context, assignment: Assignment) -> bool:
    """Start the run, wait for its end, record its outcome. Block until then. Return False if that was not recorded here.

    Whatever goes wrong with the run becomes its status, not an exception. If its claim is withdrawn, remove its folder and start nothing.

    Raises:
        Closed: the store was closed meanwhile; the next host recovers the run.
        StoreDamaged: the outcome cannot be recorded any more.
    """
    site = site_of_host(context)
    observed = site.execute(assignment)
    return observed is not None and finalize(context, site, assignment.run, observed)


def finalize(context: Context, site: LocalSite | ClusterSite, run: RunRow, observed: Observation) -> bool:
    """Record the outcome of a run that has no runner any more; put it back into the queue if it was never started and may be retried.

    Block until that is committed. Schedule its work folder for cleaning up. Return whether an outcome was recorded: another host may
    have done so first.

    Raises:
        Closed: the store was closed meanwhile; the next host recovers the run.
        StoreDamaged: the outcome cannot be recorded any more.
    """
    folder = context.folder.run(run.run_id)
    if isinstance(observed, NeverStarted):
        preparation.end_attempt(context, folder)
    match observed:
        case Ended():
            return _record(context, run, observed.result, observed.attempt, observed.metrics)
        case Lost():
            left = site.discard(run)
            reason = observed.reason or "its runner was killed or the machine went down, so its outcome is not known"
            if left:
                reason += f"; processes that it started could not be ended: {', '.join(map(str, left))}"
            seen = None if observed.attempt is None else packages_sha(folder, observed.attempt)
            result = RunResult(RunStatus.UNKNOWN, None, None, context.clock.now(), None, reason, left=left, packages_sha=seen)
            return _record(context, run, result, observed.attempt)
        case NeverStarted() if run.kill_requested:
            result = RunResult(RunStatus.KILLED, None, None, context.clock.now(), None, "it was killed before it started")
            return _record(context, run, result)
        case NeverStarted() if _may_retry(context, run):
            _requeue(context, run)
            return False
        case NeverStarted():
            reason = "it was claimed, but there is no sign that it started"
            return _record(context, run, RunResult(RunStatus.UNKNOWN, None, None, context.clock.now(), None, reason))
        case Alive():
            raise AssertionError("a run whose runner is alive cannot be finalized")


def _may_retry(context: Context, run: RunRow) -> bool:
    # A host's death is seldom the run's fault, unless it happens many times. Runners that fail under a living host are.
    limit = _MAX_ATTEMPTS if run.host_id == context.host_id else _MAX_ATTEMPTS_ACROSS_HOSTS
    return run.boot_id == context.boot_id and run.attempt - context.postponed.count(run.run_id) < limit


def prepare_at_once(context: Context, assignment: Assignment) -> Assignment:
    """Prepare a run in the thread that submits it if that takes no time, as its worker would otherwise: two threads are slower.

    Return the assignment with the outcome. Block for a millisecond.
    """
    orchestration = assignment.orchestration
    if context.cluster is not None or (orchestration.size_bytes > packaging.SMALL_BYTES and not assignment.is_prepared):
        return assignment
    try:
        found = context.environments.find_recorded(orchestration.environment_key)
    except Exception:  # its worker will meet it, too, and record it
        return assignment
    if found is None or found.installed != orchestration.installed:
        return assignment
    return assignment._replace(spec=_try_prepare(context, assignment, context.folder.run(assignment.run.run_id), Provided(found)))


def _try_prepare(context: Context, assignment: Assignment, folder: RunFolder, provided: Provided | None = None) -> RunSpec | Exception:
    """Return the run's spec, with everything that it needs in its folder; or the error that prevented it."""
    try:
        return _prepare(context, assignment, folder, provided)
    except Closed as error:
        return error
    except Exception as error:
        # Whatever it is, a claimed run must get an outcome.
        _log.warning("run %s could not be prepared", assignment.run.run_id, exc_info=True)
        return error


def _start_and_wait(context: Context, assignment: Assignment, folder: RunFolder, spec: RunSpec | Exception) -> Observation | None:
    """Start the run and wait for its end. None: it was put back into the queue instead, because something was short for a moment."""
    try:
        if isinstance(spec, Exception):
            raise spec
        context.process.place(spec)
    except Closed:
        raise
    except Exception as error:
        context.process.drop(folder)
        if try_postpone(context, assignment, error):
            return None
        status = RunStatus.KILLED if os.path.lexists(folder.cancel) else RunStatus.FAILURE
        return Ended(assignment.run.attempt, RunResult(status, None, None, context.clock.now(), None, f"it could not be started: {error}"))
    assignment.was_started()
    return context.process.wait(folder)


def _prepare(context: Context, assignment: Assignment, folder: RunFolder, provided: Provided | None) -> RunSpec:
    run, task, orchestration = assignment.run, assignment.task, assignment.orchestration
    attempt = folder.attempt(run.attempt) if assignment.is_prepared else preparation.make_folders(folder, run.attempt)
    if provided is None:
        provided = ensure_environment(context, orchestration, install_files(folder, run.attempt, "packaging.log"))
        recorded_environments.record(context, orchestration, provided)
    if not assignment.is_prepared:
        preparation.unpack(context, orchestration.sha, attempt)
    with open(attempt.arguments, "w", encoding="utf-8", opener=private_opener) as file:
        file.write(task.arguments)
    return spec_of(context, assignment, provided.installation)


def _record(context: Context, run: RunRow, result: RunResult, attempt: int | None = None, found: Mapping[str, float] | None = None) -> bool:
    if context.controlled_clock is not None:
        result = _without_duration(result, context.clock.now())
    if found is None:
        found = {} if attempt is None else metrics.left_by(context, run._replace(attempt=attempt))
    ended = Outcome(run.run_id, run.task_id, result, attempt, context.host_id, context.host_commands(), found)

    def record(transaction: Transaction) -> Recorded:
        return outcome.record_end(context.store, transaction, ended, context.clock.now())

    try:
        recorded = context.committed(record)
    except IllegalMove:
        return False  # another host has imported the result first
    context.changes.announce(run.run_id, recorded.run)
    context.postponed.forget(run.run_id)
    _log_end(context, run, result)
    if context.settings.keep_work != "all":
        context.cleaner.schedule(run._replace(status=result.status, attempt=attempt or run.attempt))
    if recorded.is_promised:
        notification.notify(context, run.run_id, result.status)
    return True


def _log_end(context: Context, run: RunRow, result: RunResult) -> None:
    level = logging.WARNING if result.status in FAILED or result.left else logging.INFO
    if _log.isEnabledFor(level):
        how = result.reason if result.exit_code is None or result.left else f"exit code {result.exit_code}"
        _log.log(level, "run %s of %s: %s", run.run_id, _label_of(context, run), f"{result.status}, {how}" if how else result.status)


def _label_of(context: Context, run: RunRow) -> str:
    try:
        return Assignment(run, context.store.tasks.get(run.task_id), context.store.orchestrations.of_run(run.run_id)).label
    except OrchliteError:  # the outcome is recorded, and the caller has more to do
        return f"task {run.task_id}"


def _without_duration(result: RunResult, now: datetime) -> RunResult:
    """Return the result in times of the store's clock: while that stands still, a real run takes no time."""
    has_started = result.started_at is not None
    return result._replace(started_at=now if has_started else None, ended_at=now, duration_seconds=0.0 if has_started else None)


def _requeue(context: Context, run: RunRow) -> None:
    now, reason = context.clock.now(), "it was never started"

    def requeue(transaction: Transaction) -> None:
        context.store.runs.requeue(transaction, run.run_id, now, reason, attempt=run.attempt)

    with suppress(IllegalMove):
        context.commit_eventually(requeue, run.run_id)
