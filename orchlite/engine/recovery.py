"""Recovers what dead hosts left: imports results, adopts runs in flight, declares lost ones, and requeues those that never started.

The same is done for a run of this host whose thread failed unexpectedly. The work is bounded by the runs marked as running, not by the
store's history.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from orchlite.core.clock import SystemClock
from orchlite.core.errors import Closed, IllegalMove
from orchlite.core.files import is_locked, remove_tree
from orchlite.core.folders import RunFolder, StoreFolder
from orchlite.core.records import RunRow
from orchlite.core.settings import Retention
from orchlite.core.status import TaskKind
from orchlite.core.threads import start_daemon
from orchlite.engine.workers import Workers
from orchlite.operations import execution, kill, liveness, notification, preparation, workdirs
from orchlite.operations.context import UNUSABLE, Context
from orchlite.operations.execution import LocalSite
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Alive, Lost, Observation

if TYPE_CHECKING:
    from orchlite.operations.cluster_site import ClusterSite

_INTERVAL_SECONDS = 1.0
_OPENING_SECONDS = 10.0
_OPENING_LIMIT_SECONDS = 3600
_log = logging.getLogger(__name__)


class Recovery:
    """Recovers the runs of dead hosts: when the store is opened, on demand, and every second on a host that serves the whole store."""

    def __init__(self, context: Context, workers: Workers, *, simulated: bool) -> None:
        """With `simulated`, runs have no process that could be observed, so they are left to their executor."""
        self._context = context
        self._workers = workers
        self._simulated = simulated
        self._turn = threading.Lock()
        self._again_at = 0.0
        self._dropped: set[tuple[str, int]] = set()
        """The attempts claimed by this host that none of its threads held at the last recovery."""
        self._recorded: list[str] = []
        """The runs of dead hosts whose outcome was recorded before this host served the store, so without its notification commands."""
        self._left: set[str] = set()
        """The runs of dead hosts that are on a cluster which this host does not have."""
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Recover once. Block 10 s at most: if the store accepts no writes, this continues in the background."""
        if self._context.own_run_id is not None:
            return
        context = self._context
        if context.store.runs.running() or context.store.notifications.pending() or any(preparation.abandoned(context)):
            start_daemon(self.recover, "orchlite-recovery").join(_OPENING_SECONDS)
        else:
            liveness.remove_dead(self._context.folder.hosts)

    def recover(self) -> None:
        """Recover now, unless a recovery was started within the last second. Does nothing inside a task: its host recovers."""
        clock = self._context.clock
        if self._context.own_run_id is not None or clock.monotonic() < self._again_at or not self._turn.acquire(blocking=False):
            return
        try:
            with suppress(Closed):
                self._recover()
        except UNUSABLE as error:
            self._context.give_up(error)
        except Exception:
            # Whatever went wrong, the next recovery must happen.
            _log.warning("what dead hosts left in %s could not be recovered; trying again", self._context.folder.path, exc_info=True)
        finally:
            self._again_at = clock.monotonic() + _INTERVAL_SECONDS
            self._turn.release()

    def is_orphaned(self, run: RunRow) -> bool:
        """Return whether no host handles this running run: its host is dead, or is this one (not inside a task) and has dropped it."""
        context = self._context
        if run.host_id == context.host_id:
            return context.own_run_id is None and not self._simulated and not self._workers.holds(run)
        return run.host_id is not None and not liveness.is_alive(context.folder.hosts, run.host_id)

    def start(self) -> None:
        """Recover every second, and prune daily if retention is set, until the store is closed; idempotent."""
        with self._turn:
            if self._thread is None:
                self._thread = self._every_second(self.recover, "orchlite-recovery")
                if (retention := self._context.settings.retention) is not None:
                    # On a thread of its own: pruning may take minutes, during which lost runs must still be recovered.
                    self._every_second(partial(self._prune, retention), "orchlite-retention")

    def _every_second(self, action: Callable[[], None], name: str) -> threading.Thread:
        def repeat() -> None:
            while not self._context.closed.wait(_INTERVAL_SECONDS):
                action()

        return start_daemon(repeat, name)

    def _prune(self, policy: Retention) -> None:
        from orchlite.operations import retention

        try:
            retention.prune_daily(self._context, policy)
        except Closed:
            pass
        except UNUSABLE as error:
            self._context.give_up(error)
        except Exception:
            _log.warning("the store %s could not be pruned; trying again", self._context.folder.path, exc_info=True)

    def _recover(self) -> None:
        context, running = self._context, self._context.store.runs.running()
        kill.resignal_owners(context, running)
        for run in self._orphaned(running):
            try:
                self._recover_run(run)
            except (Closed, *UNUSABLE):
                raise
            except Exception:  # a fault of one run must not stop the recovery of the others
                _log.warning("the orphaned run %s could not be recovered", run.run_id, exc_info=True)
        if self._thread is not None:
            self._take_over_queued()
        notification.send_overdue(context)
        while context.serves_store and self._recorded:
            notification.notify_recorded(context, self._recorded.pop())
        workdirs.clean_up(context)
        preparation.remove_all_abandoned(context)
        liveness.remove_dead(context.folder.hosts)

    def _orphaned(self, running: Iterable[RunRow]) -> list[RunRow]:
        orphaned = [run for run in running if self.is_orphaned(run)]
        dropped = {(run.run_id, run.attempt) for run in orphaned if run.host_id == self._context.host_id}
        before, self._dropped = self._dropped, dropped
        # A run that has just ended or just started looks dropped for a moment, but not twice in a row.
        return [run for run in orphaned if (run.run_id, run.attempt) not in dropped - before]

    def _take_over_queued(self) -> None:
        """Take over what dead hosts have queued for schedules: an overlap rule may let it block what is due next."""
        context = self._context
        for host_id in context.store.runs.submitters_of_recurring():
            if host_id != context.host_id and not liveness.is_alive(context.folder.hosts, host_id):
                with context.store.transaction() as transaction:
                    context.store.runs.hand_over_recurring(transaction, host_id, context.host_id)

    def _recover_run(self, run: RunRow) -> None:
        context = self._context
        if context.store.tasks.get(run.task_id).kind is TaskKind.PACKAGING:
            _requeue_packaging(context, run)
            return
        if self._simulated:
            return
        site = execution.site_of_run(context, run)
        if site is None:
            self._leave(run)
            return
        observed = site.observe(run)
        if not isinstance(observed, Alive):
            self._finalize(site, run, observed)
        elif _adopt(context, run):
            # Nothing is wrong: this is so for every run that a host has left to its runner.
            _log.info("run %s was adopted; its outcome will be recorded here", run.run_id)
            start_daemon(partial(self._wait_and_finalize, site, run), f"orchlite-adopted-{run.run_id}")

    def _leave(self, run: RunRow) -> None:
        """Say once that this host can't know what has become of a run: that takes one with the cluster on which it was placed."""
        assert run.placement is not None
        if run.run_id not in self._left:
            self._left.add(run.run_id)
            _log.warning("run %s is on %s, and waits for a host with that engine", run.run_id, run.placement.engine)

    def _finalize(self, site: LocalSite | ClusterSite, run: RunRow, observed: Observation) -> None:
        served_store = self._context.serves_store
        if execution.finalize(self._context, site, run, observed) and not served_store:
            self._recorded.append(run.run_id)

    def _wait_and_finalize(self, site: LocalSite | ClusterSite, run: RunRow) -> None:
        try:
            with self._workers.adopted(run):
                self._finalize(site, run, site.wait(run))
        except Closed:
            pass  # this host closes the store before the run ends; the next one adopts it
        except Exception:
            _log.warning("run %s was dropped; it will be recovered", run.run_id, exc_info=True)


def discard_all(context: Context, runs: Iterable[RunRow]) -> None:
    """Kill the processes that these runs have left on this machine. Block for up to 10 s."""
    # All at once: each takes half a second or more, and the interpreter may be exiting.
    folders = [context.folder.run(run.run_id) for run in runs if run.placement is None]
    threads = [threading.Thread(target=context.process.discard, args=(folder,), daemon=True) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sweep_temporary_stores(folders: Iterable[StoreFolder]) -> None:
    """Remove temporary stores whose host is dead. Their runs were on a leash; while one is still alive, its store is left alone."""
    for folder in folders:
        with suppress(FileNotFoundError):  # its host is removing it, or another sweep
            if _is_abandoned(folder):
                _end_lost_runs(folder)
                remove_tree(folder.path)


def _is_abandoned(folder: StoreFolder) -> bool:
    # A store without any host's file is being opened at this moment, or its host was killed at that moment.
    is_old = SystemClock().now().timestamp() - folder.path.stat().st_mtime > _OPENING_LIMIT_SECONDS
    if not (is_old or any(folder.hosts.glob("*.lock"))) or liveness.any_alive(folder.hosts):
        return False
    return not any(is_locked(path) for path in folder.runs.glob("*/alive.lock"))


def _end_lost_runs(folder: StoreFolder) -> None:
    """End the processes of runs whose runner was killed, too: no other process would."""
    runners = Runners(folder.diagnostics)
    for run in map(RunFolder, folder.runs.iterdir()):
        if isinstance(runners.observe(run), Lost) or run.is_held():
            runners.discard(run)


def _adopt(context: Context, run: RunRow) -> bool:
    with context.store.transaction() as transaction:
        return context.store.runs.adopt(transaction, run.run_id, str(run.host_id), context.host_id)


def _requeue_packaging(context: Context, run: RunRow) -> None:
    """Queue a packaging run again. It is repeatable: its installer was on a leash, and a half-built environment is built again."""
    now, reason = context.clock.now(), "its host is gone"
    orchestration_id = context.store.tasks.get(run.task_id).orchestration_id
    with suppress(IllegalMove), context.store.transaction() as transaction:
        context.store.requeue_packaging(transaction, run.run_id, orchestration_id, now, reason, attempt=run.attempt)
