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
from orchlite.core.folders import StoreFolder
from orchlite.core.records import Alive, Lost, Retention, RunFolder, RunRow
from orchlite.core.status import OrchestrationStatus, TaskKind
from orchlite.operations import execution as one_run
from orchlite.operations import garbage as leftovers
from orchlite.operations import kill as killing
from orchlite.operations import liveness as presence
from orchlite.operations import notification as telling
from orchlite.operations import workdirs as tidying
from orchlite.operations.context import OpenStore
from orchlite.runs.runners import Runners

_LOOK_SECONDS = 1.0
_OPENING_SECONDS = 10.0
_OPENING_LIMIT_SECONDS = 3600
_log = logging.getLogger(__name__)


class Lookout:
    """Looks after dead hosts' runs: when the store is opened, when somebody asks, and steadily for who works for the whole store."""

    def __init__(self, store: OpenStore, occupied: Callable[[], AbstractContextManager[None]]) -> None:
        """While an adopted run goes on, `occupied()` is entered: it counts as one of this host's."""
        self._store = store
        self._occupied = occupied
        self._turn = threading.Lock()
        self._again_at = 0.0
        self._dropped: set[tuple[str, int]] = set()
        """The attempts of this host's that nobody here had in hand at the last look."""
        self._steady: threading.Thread | None = None

    def open(self) -> None:
        """The first look. It does not keep its caller when the store takes nothing at the moment, but goes on behind."""
        if self._store.own_run_id is not None:
            return
        if self._store.memory.runs.running() or self._store.memory.runs.untold():
            thread = threading.Thread(target=self.look, name="orchlite-recovery", daemon=True)
            thread.start()
            thread.join(_OPENING_SECONDS)
        else:
            presence.forget_dead(self._store.folder.hosts)

    def look(self) -> None:
        """Look now, unless that was done, or begun, within the last second. Inside a task nothing happens: that is for hosts."""
        clock = self._store.clock
        if self._store.own_run_id is not None or clock.monotonic() < self._again_at or not self._turn.acquire(blocking=False):
            return
        try:
            with suppress(Closed):
                self._recover()
        except Exception:
            # Whatever it is, the next look must come.
            _log.warning("what dead hosts left in %s could not be looked after", self._store.folder.path, exc_info=True)
        finally:
            self._again_at = clock.monotonic() + _LOOK_SECONDS
            self._turn.release()

    def is_left(self, run: RunRow) -> bool:
        """Whether nobody is at work on this running run: its host is gone or, outside of tasks, it is this one's and was dropped."""
        store = self._store
        if run.host_id == store.host_id:
            return store.own_run_id is None and store.stub is None and (run.run_id, run.attempt) not in store.in_hand
        return run.host_id is not None and not presence.is_alive(store.folder.hosts, run.host_id)

    def watch(self) -> None:
        """Look every second from now on, and prune daily where that is wanted, until the store is closed; idempotent."""
        with self._turn:
            if self._steady is None:
                self._steady = self._every_second(self.look, "orchlite-lookout")
                if (retention := self._store.settings.retention) is not None:
                    # On a thread of its own: it may take minutes, for which a lost run must not be in the way of others.
                    self._every_second(partial(self._prune, retention), "orchlite-pruning")

    def _every_second(self, action: Callable[[], None], name: str) -> threading.Thread:
        def repeat() -> None:
            while not self._store.closed.wait(_LOOK_SECONDS):
                action()

        thread = threading.Thread(target=repeat, name=name, daemon=True)
        thread.start()
        return thread

    def _prune(self, retention: Retention) -> None:
        from orchlite.operations import retention as pruning

        try:
            pruning.prune_daily(self._store, retention)
        except Closed:
            pass
        except Exception:
            _log.warning("the store %s could not be pruned", self._store.folder.path, exc_info=True)

    def _recover(self) -> None:
        store, running = self._store, self._store.memory.runs.running()
        killing.carry_out_again(store, running)
        for run in self._left(running):
            try:
                self._recover_one(run)
            except Closed:
                raise
            except Exception:  # whatever is wrong with one run must not keep the others
                _log.warning("run %s, on which nobody is at work, could not be looked after", run.run_id, exc_info=True)
        if self._steady is not None:
            self._take_over_queued()
        telling.keep_promises(store)
        tidying.tidy(store)
        presence.forget_dead(store.folder.hosts)

    def _left(self, running: Iterable[RunRow]) -> list[RunRow]:
        left = [run for run in running if self.is_left(run)]
        dropped = {(run.run_id, run.attempt) for run in left if run.host_id == self._store.host_id}
        before, self._dropped = self._dropped, dropped
        # One that has just ended, or just begun, looks as if it were dropped; a second later it does not.
        return [run for run in left if (run.run_id, run.attempt) not in dropped - before]

    def _take_over_queued(self) -> None:
        """Who keeps schedules runs what others have queued before they died: it may stand in the way of what is due next."""
        store = self._store
        for host_id in store.memory.runs.submitters_of_recurring():
            if host_id != store.host_id and not presence.is_alive(store.folder.hosts, host_id):
                with store.memory.transaction() as transaction:
                    store.memory.runs.hand_over_recurring(transaction, host_id, store.host_id)

    def _recover_one(self, run: RunRow) -> None:
        store = self._store
        if store.memory.tasks.get(run.task_id).kind is TaskKind.PACKAGING:
            _requeue_packaging(store, run)
            return
        if store.stub is not None:
            return  # how its runs end is a matter of the clock
        look = store.process.look(store.folder.run(run.run_id))
        if not isinstance(look, Alive):
            one_run.conclude(store, run, look)
        elif _adopt(store, run):
            # Nothing is wrong: so it is after every run that was submitted and left to its runner.
            _log.info("run %s goes on; how it ends is recorded here from now on", run.run_id)
            name = f"orchlite-adopted-{run.run_id}"
            threading.Thread(target=self._see_to_its_end, args=(run,), name=name, daemon=True).start()

    def _see_to_its_end(self, run: RunRow) -> None:
        store = self._store
        store.in_hand.add((run.run_id, run.attempt))
        try:
            with self._occupied():
                one_run.conclude(store, run, store.process.wait(store.folder.run(run.run_id)))
        except Closed:
            pass  # this host goes before the run does, and the next one will adopt it
        except Exception:
            _log.warning("run %s was dropped, and is looked after anew", run.run_id, exc_info=True)
        finally:
            store.in_hand.discard((run.run_id, run.attempt))


def sweep_temporary_stores(folders: Iterable[StoreFolder]) -> None:
    """Remove temporary stores whose host is gone. Their runs were on a leash; while one still lives, its store is left alone."""
    for folder in folders:
        with suppress(FileNotFoundError):  # its host is removing it, or another sweep
            if _is_abandoned(folder):
                _end_lost_runs(folder)
                leftovers.remove_folder(folder.path)


def _is_abandoned(folder: StoreFolder) -> bool:
    # A store without any host's file is being opened right now, or was left so by a host that was killed at that moment.
    is_old = SystemClock().now().timestamp() - folder.path.stat().st_mtime > _OPENING_LIMIT_SECONDS
    if not (is_old or any(folder.hosts.glob("*.lock"))) or presence.anybody_is_alive(folder.hosts):
        return False
    return not any(presence.is_locked(path) for path in folder.runs.glob("*/alive.lock"))


def _end_lost_runs(folder: StoreFolder) -> None:
    """A run whose runner was killed, too, has nobody who would end its processes."""
    runners = Runners(folder.diagnostics)
    for run in map(RunFolder, folder.runs.iterdir()):
        if isinstance(runners.look(run), Lost):
            runners.discard(run)


def _adopt(store: OpenStore, run: RunRow) -> bool:
    with store.memory.transaction() as transaction:
        return store.memory.runs.adopt(transaction, run.run_id, str(run.host_id), store.host_id)


def _requeue_packaging(store: OpenStore, run: RunRow) -> None:
    """Packaging is repeatable: its host's installer was on a leash, and a half-built environment is built anew."""
    now, reason = store.clock.now(), "whoever was packaging it is gone"
    orchestration_id = store.memory.tasks.get(run.task_id).orchestration_id
    with suppress(IllegalMove), store.memory.transaction() as transaction:
        store.memory.runs.requeue(transaction, run.run_id, now, reason, attempt=run.attempt)
        if store.memory.orchestrations.status(transaction, orchestration_id) is OrchestrationStatus.PACKAGING:
            store.memory.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.PENDING_PACKAGING, now, reason)
