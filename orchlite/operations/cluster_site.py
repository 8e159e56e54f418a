"""Executes runs on a cluster: from here they are placed and waited for; a node of the cluster does what this machine would do.

The placement is committed before the cluster gets the run, and stays until the run has ended: any host can place the run again under the
same name, of which the cluster starts one. So a run is never queued again once it has a placement, and never started twice.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from contextlib import suppress

from orchlite.core.errors import Closed, DeviceFailed, IllegalMove, OrchliteError
from orchlite.core.files import make_private_folders
from orchlite.core.folders import RunFolder
from orchlite.core.records import RunResult, RunRow
from orchlite.core.status import RunStatus
from orchlite.core.system_errors import is_shortage
from orchlite.operations import kill, preparation, run_packages
from orchlite.operations.context import UNUSABLE, Assignment, Context
from orchlite.operations.jobs import job_of
from orchlite.runs.cluster import Cluster, ClusterUnreachable, PlacedRun
from orchlite.runs.spec import Alive, Ended, Lost, NeverStarted, Observation
from orchlite.store.database import Transaction

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
_REASON_SECONDS = 0.25
"""How long whoever requests the end of a run may take to write why."""
_log = logging.getLogger(__name__)


def send_kills(context: Context, sent: set[str], failed: Counter[str], unexplained: dict[str, float]) -> None:
    """Ask the cluster to end those of this host's placed runs that are to end. Block for one request for each of them.

    sent: the ids of the runs for which that was done; changed here.
    failed: how often that has failed, by run; changed here.
    unexplained: since when a run is to end without a known reason, which is written after the request; changed here.
    """
    assert context.cluster is not None
    running = context.store.placements.of_host(context.host_id)
    ids = {run.run_id for run in running}
    sent &= ids
    for run_id in unexplained.keys() - ids:
        del unexplained[run_id]
    now = time.monotonic()
    for run in sorted(running, key=lambda run: failed[run.run_id]):  # so that no run keeps its turn from the others
        folder = context.folder.run(run.run_id)
        has_reason = os.path.lexists(folder.cancel)
        if run.run_id in sent or not (run.kill_requested or has_reason):
            continue
        if not has_reason and now - unexplained.setdefault(run.run_id, now) < _REASON_SECONDS:
            continue
        is_placed = os.path.lexists(folder.attempt(run.attempt).placed)  # first: a request before that may have no effect
        try:
            context.cluster.cancel(_placed_run(context, run), _reason_in(folder))
        except ClusterUnreachable as error:
            _log.info("run %s cannot be ended for the moment: %s", run.run_id, error)
            failed[run.run_id] += 1
            return  # neither can the others, as a rule, and each request would take its time
        except DeviceFailed as error:
            _log.info("run %s cannot be ended for the moment: %s", run.run_id, error)
        else:
            sent |= {run.run_id} if is_placed else set()


def _reason_in(folder: RunFolder) -> str:
    try:
        return folder.cancel.read_text(encoding="utf-8") or kill.REASON
    except OSError:  # the killer died before it wrote the file
        return kill.REASON


def _placed_run(context: Context, run: RunRow) -> PlacedRun:
    assert run.placement is not None
    log = context.folder.run(run.run_id).attempt(run.attempt).log
    return PlacedRun(run.run_id, run.attempt, run.placement, log, context.settings.limits.log_bytes)


class ClusterSite:
    """The cluster of this host. It has the methods of `LocalSite`."""

    def __init__(self, context: Context) -> None:
        assert context.cluster is not None
        self._context = context
        self._cluster: Cluster = context.cluster

    def execute(self, assignment: Assignment) -> Observation | None:
        """Place a claimed run and wait for its end; never return `Alive`.

        None: it is queued again, because the cluster does not respond, or its claim was withdrawn or undone.

        Raises:
            Closed: the store was closed meanwhile; the next host with this cluster waits for the run.
            StoreDamaged: the store accepts no writes any more.
        """
        context, run = self._context, assignment.run
        if not assignment.is_claimed():
            preparation.withdraw(context, run.run_id)
            return None
        try:
            placement = self._cluster.reserve(run.run_id, run.attempt)
        except ClusterUnreachable as error:
            return self._put_back(run, error)
        except Closed:
            raise
        except Exception as error:  # whatever it is, a claimed run must get an outcome
            return self._not_started(run, error)
        context.postponed.resume()
        if not context.commit_eventually(lambda transaction: context.store.placements.set(transaction, run, placement), run.run_id):
            return self._why_not_placed(run)
        _log.info("run %s of %s starts on %s as %s", run.run_id, assignment.label, placement.engine, placement.job_id)
        return self._follow(assignment._replace(run=run._replace(placement=placement)), may_run=False)

    def wait(self, run: RunRow) -> Observation:
        """Wait for the end of a run that another host has placed, or was about to place; never return `Alive`.

        Raises:
            Closed: the store was closed meanwhile.
            StoreDamaged: the store accepts no writes any more.
        """
        store = self._context.store
        task = store.task_versions.as_run(store.tasks.get(run.task_id), run.run_id)
        return self._follow(Assignment(run, task, store.orchestrations.of_run(run.run_id)), may_run=True)

    def observe(self, run: RunRow) -> Observation:
        """Return `Alive`, without a request: `wait` finds out, and places the run if that was not done."""
        return Alive()

    def discard(self, run: RunRow) -> tuple[int, ...]:
        """Do nothing: what a lost run has left is on a node."""
        return ()

    def _put_back(self, run: RunRow, error: ClusterUnreachable) -> Observation | None:
        """Queue the run again, unless it was killed meanwhile. This host claims none until a pause has passed."""
        context, now = self._context, self._context.clock.now()
        seconds = context.postponed.pause()
        reason = f"it could not be placed for the moment: {error} The next attempt follows in {seconds:g} s."

        def requeue(transaction: Transaction) -> bool:
            if context.store.placements.is_killed(transaction, run.run_id):
                return False
            context.store.runs.requeue(transaction, run.run_id, now, reason, attempt=run.attempt)
            context.store.placements.explain_wait(transaction, run.run_id, reason)
            return True

        try:
            if self._has_kill_file(run) or not context.commit_eventually(requeue, run.run_id):
                return self._killed(run)
        except IllegalMove:
            return None  # another host has it
        _log.warning("run %s: %s", run.run_id, reason)
        return None

    def _why_not_placed(self, run: RunRow) -> Observation | None:
        """Return how a run ends whose placement could not be recorded; None if it is not this host's any more."""
        found = self._context.store.runs.find(run.run_id)
        is_killed = found is not None and (found.host_id, found.attempt) == (run.host_id, run.attempt) and found.kill_requested
        return self._killed(run) if is_killed else None

    def _follow(self, assignment: Assignment, *, may_run: bool) -> Observation:
        """Place the run unless that is known to be done, and wait for its end; place it again while the cluster does not know it.

        may_run: whether the cluster may have the run already.
        """
        context, run = self._context, assignment.run
        folder, pause_seconds = context.folder.run(run.run_id), _FIRST_PAUSE_SECONDS
        attempt = folder.attempt(run.attempt)
        make_private_folders(folder.path, attempt.path)
        if run.reason is not None:
            self._report(run, "")  # what a dead host has reported
        while True:
            if not may_run and self._is_killed(run):
                return self._killed(run)
            if (failed := self._try_place(assignment, may_run=may_run)) is not None:
                return failed
            observed = self._cluster.wait(_placed_run(context, run), lambda text: self._report(run, text))
            if not isinstance(observed, NeverStarted):
                return self._completed(observed)
            if attempt.placed.exists():
                return Lost(run.attempt, "the cluster does not know it any more, so its outcome is not known")
            may_run = False
            if context.closed.wait(pause_seconds):
                raise Closed("This client is closed.", hint="The next host of the store with this cluster places the run.")
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _try_place(self, assignment: Assignment, *, may_run: bool) -> Observation | None:
        """Place the run, unless that is known to be done or its end was requested. Return how it ends if it cannot be placed at all."""
        context, run = self._context, assignment.run
        assert run.placement is not None
        mark = context.folder.run(run.run_id).attempt(run.attempt).placed
        if mark.exists() or self._is_killed(run):
            return None
        try:
            self._cluster.place(job_of(context, assignment), run.placement)
        except (Closed, *UNUSABLE):
            raise
        except Exception as error:  # whatever it is, the run must get an outcome
            if not (may_run or isinstance(error, ClusterUnreachable) or is_shortage(error)):
                return self._not_started(run, error)
            self._report(run, f"it cannot be placed for the moment: {error}")
        else:
            with suppress(OSError):  # then it is perhaps placed again, under the same name
                mark.touch(mode=0o600)
            found = context.store.runs.find(run.run_id)
            if found is not None and found.reason is not None:
                self._report(run, "")
        return None

    def _completed(self, observed: Observation) -> Observation:
        """Return the observation with what the store needs to know in addition."""
        if isinstance(observed, Ended) and observed.packages is not None:
            sha = run_packages.keep_packages(self._context, observed.packages)
            return observed._replace(result=observed.result._replace(packages_sha=sha))
        if isinstance(observed, Lost) and observed.reason is None:
            return observed._replace(reason="the cluster has lost it, so its outcome is not known")
        return observed

    def _report(self, run: RunRow, text: str) -> None:
        """Keep what the cluster says of the run, for the user, until it says something else; the empty text is nothing.

        Never raises: nothing depends on it, and the thread may be one that waits for all runs.
        """
        context = self._context
        if text:
            _log.warning("run %s: %s", run.run_id, text)
        try:
            with context.store.transaction() as transaction:
                context.store.placements.report(transaction, run.run_id, text or None, context.clock.now())
            context.changes.announce(run.run_id)
        except OrchliteError:
            _log.info("what the cluster says of run %s cannot be stored", run.run_id, exc_info=True)

    def _is_killed(self, run: RunRow) -> bool:
        found = self._context.store.runs.find(run.run_id)
        return (found is not None and found.kill_requested) or self._has_kill_file(run)

    def _has_kill_file(self, run: RunRow) -> bool:
        return os.path.lexists(self._context.folder.run(run.run_id).cancel)

    def _killed(self, run: RunRow) -> Ended:
        return self._without_start(run, RunStatus.KILLED, "it was killed before it started")

    def _not_started(self, run: RunRow, error: Exception) -> Ended:
        status = RunStatus.KILLED if self._is_killed(run) else RunStatus.FAILURE
        return self._without_start(run, status, f"it could not be started: {error}")

    def _without_start(self, run: RunRow, status: RunStatus, reason: str) -> Ended:
        return Ended(run.attempt, RunResult(status, None, None, self._context.clock.now(), None, reason))
