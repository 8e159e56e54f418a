"""What dead hosts left: import the results of their runs, adopt those that go on, declare the lost ones, give the rest back to the queue.

The same is done for a run of this host that its own thread has dropped, because of something that nobody thought of. The work is bounded
by what is marked as running, not by the store's history.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from functools import partial

from orchlite.core.clock import SystemClock
from orchlite.core.errors import Closed, IllegalMove
from orchlite.core.files import is_locked, remove_tree
from orchlite.core.folders import RunFolder, StoreFolder
from orchlite.core.records import Alive, Lost, RunRow
from orchlite.core.settings import Retention
from orchlite.core.status import OrchestrationStatus, TaskKind
from orchlite.operations import execution, kill, liveness, notification, workdirs
from orchlite.operations.context import Context
from orchlite.runs.runners import Runners

_LOOK_SECONDS = 1.0
_OPENING_SECONDS = 10.0
_OPENING_LIMIT_SECONDS = 3600
_log = logging.getLogger(__name__)


class Recovery:
    """Looks after dead hosts' runs: when the store is opened, when somebody asks, and steadily for who works for the whole store."""

    def __init__(self, context: Context, occupied: Callable[[], AbstractContextManager[None]]) -> None:
        """While an adopted run goes on, `occupied()` is entered: it counts as one of this host's."""
        self._context = context
        self._occupied = occupied
        self._turn = threading.Lock()
        self._again_at = 0.0
        self._dropped: set[tuple[str, int]] = set()
        """The attempts of this host's that nobody here had in hand at the last look."""
        self._steady: threading.Thread | None = None

    def open(self) -> None:
        """The first look. It does not keep its caller when the store takes nothing at the moment, but goes on behind."""
        if self._context.own_run_id is not None:
            return
        if self._context.store.runs.running() or self._context.store.runs.pending_notifications():
            thread = threading.Thread(target=self.recover, name="orchlite-recovery", daemon=True)
            thread.start()
            thread.join(_OPENING_SECONDS)
        else:
            liveness.remove_dead(self._context.folder.hosts)

    def recover(self) -> None:
        """Look now, unless that was done, or begun, within the last second. Inside a task nothing happens: that is for hosts."""
        clock = self._context.clock
        if self._context.own_run_id is not None or clock.monotonic() < self._again_at or not self._turn.acquire(blocking=False):
            return
        try:
            with suppress(Closed):
                self._recover()
        except Exception:
            # Whatever it is, the next look must come.
            _log.warning("what dead hosts left in %s could not be looked after", self._context.folder.path, exc_info=True)
        finally:
            self._again_at = clock.monotonic() + _LOOK_SECONDS
            self._turn.release()

    def is_orphaned(self, run: RunRow) -> bool:
        """Whether nobody is at work on this running run: its host is gone or, outside of tasks, it is this one's and was dropped."""
        context = self._context
        if run.host_id == context.host_id:
            return context.own_run_id is None and context.stub is None and (run.run_id, run.attempt) not in context.active_attempts
        return run.host_id is not None and not liveness.is_alive(context.folder.hosts, run.host_id)

    def start(self) -> None:
        """Look every second from now on, and prune daily where that is wanted, until the store is closed; idempotent."""
        with self._turn:
            if self._steady is None:
                self._steady = self._every_second(self.recover, "orchlite-lookout")
                if (retention := self._context.settings.retention) is not None:
                    # On a thread of its own: it may take minutes, for which a lost run must not be in the way of others.
                    self._every_second(partial(self._prune, retention), "orchlite-pruning")

    def _every_second(self, action: Callable[[], None], name: str) -> threading.Thread:
        def repeat() -> None:
            while not self._context.closed.wait(_LOOK_SECONDS):
                action()

        thread = threading.Thread(target=repeat, name=name, daemon=True)
        thread.start()
        return thread

    def _prune(self, retention: Retention) -> None:
        from orchlite.operations import retention as pruning

        try:
            pruning.prune_daily(self._context, retention)
        except Closed:
            pass
        except Exception:
            _log.warning("the store %s could not be pruned", self._context.folder.path, exc_info=True)

    def _recover(self) -> None:
        context, running = self._context, self._context.store.runs.running()
        kill.resignal_owners(context, running)
        for run in self._left(running):
            try:
                self._recover_one(run)
            except Closed:
                raise
            except Exception:  # whatever is wrong with one run must not keep the others
                _log.warning("run %s, on which nobody is at work, could not be looked after", run.run_id, exc_info=True)
        if self._steady is not None:
            self._take_over_queued()
        notification.send_overdue(context)
        workdirs.clean_up(context)
        liveness.remove_dead(context.folder.hosts)

    def _left(self, running: Iterable[RunRow]) -> list[RunRow]:
        left = [run for run in running if self.is_orphaned(run)]
        dropped = {(run.run_id, run.attempt) for run in left if run.host_id == self._context.host_id}
        before, self._dropped = self._dropped, dropped
        # One that has just ended, or just begun, looks as if it were dropped; a second later it does not.
        return [run for run in left if (run.run_id, run.attempt) not in dropped - before]

    def _take_over_queued(self) -> None:
        """Who keeps schedules runs what others have queued before they died: it may stand in the way of what is due next."""
        context = self._context
        for host_id in context.store.runs.submitters_of_recurring():
            if host_id != context.host_id and not liveness.is_alive(context.folder.hosts, host_id):
                with context.store.transaction() as transaction:
                    context.store.runs.hand_over_recurring(transaction, host_id, context.host_id)

    def _recover_one(self, run: RunRow) -> None:
        context = self._context
        if context.store.tasks.get(run.task_id).kind is TaskKind.PACKAGING:
            _requeue_packaging(context, run)
            return
        if context.stub is not None:
            return  # how its runs end is a matter of the clock
        look = context.process.look(context.folder.run(run.run_id))
        if not isinstance(look, Alive):
            execution.finalize(context, run, look)
        elif _adopt(context, run):
            # Nothing is wrong: so it is after every run that was submitted and left to its runner.
            _log.info("run %s goes on; how it ends is recorded here from now on", run.run_id)
            name = f"orchlite-adopted-{run.run_id}"
            threading.Thread(target=self._see_to_its_end, args=(run,), name=name, daemon=True).start()

    def _see_to_its_end(self, run: RunRow) -> None:
        context = self._context
        context.active_attempts.add((run.run_id, run.attempt))
        try:
            with self._occupied():
                execution.finalize(context, run, context.process.wait(context.folder.run(run.run_id)))
        except Closed:
            pass  # this host goes before the run does, and the next one will adopt it
        except Exception:
            _log.warning("run %s was dropped, and is looked after anew", run.run_id, exc_info=True)
        finally:
            context.active_attempts.discard((run.run_id, run.attempt))


def sweep_temporary_stores(folders: Iterable[StoreFolder]) -> None:
    """Remove temporary stores whose host is gone. Their runs were on a leash; while one still lives, its store is left alone."""
    for folder in folders:
        with suppress(FileNotFoundError):  # its host is removing it, or another sweep
            if _is_abandoned(folder):
                _end_lost_runs(folder)
                remove_tree(folder.path)


def _is_abandoned(folder: StoreFolder) -> bool:
    # A store without any host's file is being opened right now, or was left so by a host that was killed at that moment.
    is_old = SystemClock().now().timestamp() - folder.path.stat().st_mtime > _OPENING_LIMIT_SECONDS
    if not (is_old or any(folder.hosts.glob("*.lock"))) or liveness.any_alive(folder.hosts):
        return False
    return not any(is_locked(path) for path in folder.runs.glob("*/alive.lock"))


def _end_lost_runs(folder: StoreFolder) -> None:
    """A run whose runner was killed, too, has nobody who would end its processes."""
    runners = Runners(folder.diagnostics)
    for run in map(RunFolder, folder.runs.iterdir()):
        if isinstance(runners.look(run), Lost):
            runners.discard(run)


def _adopt(context: Context, run: RunRow) -> bool:
    with context.store.transaction() as transaction:
        return context.store.runs.adopt(transaction, run.run_id, str(run.host_id), context.host_id)


def _requeue_packaging(context: Context, run: RunRow) -> None:
    """Packaging is repeatable: its host's installer was on a leash, and a half-built environment is built anew."""
    now, reason = context.clock.now(), "whoever was packaging it is gone"
    orchestration_id = context.store.tasks.get(run.task_id).orchestration_id
    with suppress(IllegalMove), context.store.transaction() as transaction:
        context.store.runs.requeue(transaction, run.run_id, now, reason, attempt=run.attempt)
        if context.store.orchestrations.status(transaction, orchestration_id) is OrchestrationStatus.PACKAGING:
            context.store.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.PENDING_PACKAGING, now, reason)
