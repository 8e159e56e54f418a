"""The threads that execute queued runs: claim, execute, repeat. As many runs at once as there are worker slots, oldest first.

A worker slot is occupied by a run that is executed here, or by one that was adopted from a dead host and has not ended. A run whose program
waits for another run yields its slot: otherwise, with one worker, a run that starts others and waits for them would wait forever.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from orchlite.core.errors import Closed, IllegalMove, ResourceExhausted
from orchlite.core.records import RunRow
from orchlite.core.status import TaskKind
from orchlite.core.threads import start_daemon
from orchlite.engine.executors import Executor
from orchlite.operations import preparation, workdirs
from orchlite.operations.context import UNUSABLE, Assignment, Context

_PAUSE_SECONDS = 0.02
"""How long a worker waits for the next run before it does work that is not urgent."""
_RETRY_SECONDS = 1.0
_PROCESSORS = os.cpu_count() or 1
_log = logging.getLogger(__name__)


class Workers:
    """Daemon threads, up to one for each worker slot, each started when it is needed: most stores that tests open need one."""

    def __init__(self, context: Context, executor: Executor) -> None:
        self._context = context
        self._executor = executor
        # Entered by itself: an interrupt inside `Condition.__enter__`, which is written in Python, would leave it taken for good.
        self._lock = threading.RLock()
        self._condition = threading.Condition(self._lock)
        self._threads: list[threading.Thread] = []
        self._assigned: deque[Assignment] = deque()
        self._reserved: dict[str, None] = {}
        """The ids of the runs for which a worker is reserved, and which are not assigned yet."""
        self._idle = 0
        """Threads that wait and are not reserved."""
        self._executing = self._adopted = self._yielded = 0
        """Slots occupied by runs executed here, slots occupied by adopted runs, and slots yielded by runs that wait for others."""
        self._packaging = 0
        """Slots occupied by packaging, which needs this machine's cores even if runs do not: no more than `Settings.workers`."""
        self._slots = (context.cluster and context.cluster.max_runs) or context.settings.workers
        self._claiming = threading.Lock()
        self._woken = self._answered = 0
        """How often `wake` was called, and up to which of these calls a thread has found the queue empty."""
        self._active: set[tuple[str, int]] = set()
        """Run id and number of the attempts that a thread of this host is bringing to their end. Any other that it claimed was dropped."""
        self.whole_store = False
        """Whether runs that other hosts have queued are executed here, too."""
        self._lacks_thread = False
        """Whether the last thread that was needed could not be started."""
        self._is_stopping = False

    def are_busy(self) -> bool:
        """Return whether a run is in flight here."""
        return self._executing + self._adopted > 0

    def has_yielded(self) -> bool:
        """Return whether a run in flight here yields its slot."""
        return self._yielded > 0

    def holds(self, run: RunRow) -> bool:
        """Return whether a thread of this host is bringing this attempt to its end."""
        return (run.run_id, run.attempt) in self._active

    def start(self, *, whole_store: bool = False) -> None:
        """Start the first thread; with `whole_store` they also execute what other hosts have queued. Idempotent. Does nothing in a task.

        Raises:
            ResourceExhausted: it could not be started.
        """
        if self._context.own_run_id is not None:
            return
        with self._lock:
            self.whole_store = self.whole_store or whole_store
            if not self._threads and not self._is_stopping:
                self._start_thread()
        if whole_store:
            self.wake()

    def reserve(self, run_id: str) -> bool:
        """Reserve an idle worker and its slot for a run. Return False if all are busy or runs are queued.

        The caller must call `assign`, or `release` if it fails: an interrupt may come at any time.
        """
        if self._context.postponed.are_paused() or (self._woken != self._answered and self._idle > 0 and self._claimable()):
            return False
        with self._lock:
            self._have_idle_thread()
            is_free = self._idle > 0 and self._has_slot() and self._woken == self._answered
            if is_free and not self._executor.is_stepped and not self._is_stopping:
                # An interrupt is raised after a call only, and there is none: all three happen, or none.
                self._idle -= 1
                self._executing += 1
                self._reserved[run_id] = None
                return True
        return False

    def assign(self, assignment: Assignment) -> None:
        """Give the reserved worker a run that is claimed for it. Call `begin_assigned` afterwards, so that it begins."""
        with self._lock:
            self._active.add((assignment.run.run_id, assignment.run.attempt))
            del self._reserved[assignment.run.run_id]  # both happen, or neither: as above
            self._assigned.append(assignment)

    def begin_assigned(self) -> None:
        """Wake a worker for what was assigned."""
        with self._lock:
            self._condition.notify()

    def release(self, run_id: str) -> bool:
        """Free the worker that is reserved for the run, and return True; if the run was assigned already, wake one for it."""
        with self._lock:
            is_reserved = run_id in self._reserved
            if is_reserved:
                self._idle += 1
                self._executing -= 1
                del self._reserved[run_id]
                self._active.discard((run_id, 1))
            self._condition.notify()
        return is_reserved

    def wake(self) -> None:
        """Have a worker check the queue."""
        with self._lock:
            self._woken += 1
            self._have_idle_thread()
            self._condition.notify()

    def start_missing(self) -> None:
        """Start the thread that could not be started when it was needed, if it still is."""
        with self._lock:
            if self._lacks_thread:
                self._have_idle_thread()

    @contextmanager
    def adopted(self, run: RunRow) -> Iterator[None]:
        """Occupy a worker slot for an adopted run while the block runs, even above the limit.

        No new run starts until the count is below the limit again.
        """
        with self._lock:
            self._adopted += 1
            self._active.add((run.run_id, run.attempt))
        try:
            yield
        finally:
            with self._lock:
                self._adopted -= 1
                self._active.discard((run.run_id, run.attempt))
                self._woken += 1
                self._have_idle_thread()
                self._condition.notify_all()

    def set_blocked(self, runs: int) -> None:
        """Set how many runs in flight here wait for other runs, and so yield their slots."""
        with self._lock:
            self._woken += runs > self._yielded
            self._yielded = runs
            self._have_idle_thread()
            self._condition.notify_all()

    def stop(self, timeout_seconds: float) -> None:
        """Claim no more runs. Idle threads end at once, busy ones after their run; block for them, `timeout_seconds` at most."""
        with self._lock:
            self._is_stopping = True
            self._condition.notify_all()
        deadline = self._context.clock.monotonic() + timeout_seconds
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - self._context.clock.monotonic()))

    def _start_thread(self) -> None:
        """Start a thread, which counts as idle from now on."""
        thread = start_daemon(self._work, f"orchlite-worker-{len(self._threads) + 1}")
        self._idle += 1
        self._threads.append(thread)  # last: an interrupt is raised after a call only, so that each listed thread is counted

    def _have_idle_thread(self) -> None:
        """Start another thread if none is idle and there is a slot for it; if it cannot be started, leave the work to those there are."""
        may_start = self._threads and len(self._threads) < self._slots + self._yielded and not self._is_stopping
        if may_start and self._idle <= 0 and self._has_slot():
            self._lacks_thread = True
            with suppress(ResourceExhausted):
                self._start_thread()
                self._lacks_thread = False

    def _has_slot(self) -> bool:
        return self._executing + self._adopted < self._slots + self._yielded

    def _work(self) -> None:
        with self._lock:
            self._idle -= 1  # it was counted when it was started, and counts itself whenever it waits
        has_executed = False
        while not self._is_stopping:
            try:
                was_run = self._execute_next(has_executed)
                if was_run is None and has_executed:
                    workdirs.clean_up(self._context)
                    preparation.prepare(self._context, self._have_no_run)  # last: from then on, this thread is free
                elif was_run is None:
                    preparation.drop_expired(self._context)
                has_executed = was_run or (has_executed and was_run is not None)
                if self._context.postponed.take_news():
                    self.wake()  # an idle thread, which then knows how long to wait for the next postponed run, or executes it
            except Closed:
                return
            except UNUSABLE as error:  # a claimed run stays claimed, with its result on disk
                self._context.give_up(error)
                return
            except Exception:
                # The store or the disk is in trouble. A claimed run stays claimed, with its result on disk, and the thread stays alive.
                _log.exception("a worker of the store %s failed; trying again", self._context.folder.path)
                self.wake()  # the other threads, while this one waits
                threading.Event().wait(_RETRY_SECONDS)

    def _seconds_until_due(self) -> float | None:
        """Return when a postponed run, or the end of the standby, is due; None if there is neither."""
        due = (self._context.postponed.seconds_until_due(), self._context.standbys.seconds_left())
        return min((seconds for seconds in due if seconds is not None), default=None)

    def _have_no_run(self) -> bool:
        return not self._active and not self._is_stopping

    def _with_next(self, assignment: Assignment) -> Assignment:
        """Have the run that follows this one prepared while this one lasts, if it is expected at once: that takes another processor."""
        is_expected = _PROCESSORS > 1 and self._context.standbys.are_in_a_row(assignment.orchestration.orchestration_id)
        return assignment._replace(was_started=self._prepare_next) if is_expected else assignment

    def _prepare_next(self) -> None:
        preparation.prepare(self._context, self._have_one_run)
        with self._lock:  # an idle thread takes the next run, and drops the standby when that has stood by for long enough
            self._have_idle_thread()
            self._condition.notify()

    def _have_one_run(self) -> bool:
        return len(self._active) == 1 and self._has_slot() and self._woken == self._answered and not self._is_stopping

    def _execute_next(self, has_executed: bool) -> bool | None:
        """Wait for a slot and a run, and execute it. Return whether there was one; None if something else is due."""
        has_slot, assignment = self._wait(has_executed)
        if not has_slot:
            return None
        if self._seconds_until_due() is not None:  # this thread will not wait for that
            with self._lock:
                self._have_idle_thread()
        may_start_another = True
        try:
            assignment = assignment or self._claim_next()
            if assignment is not None:
                self._active.add((assignment.run.run_id, assignment.run.attempt))
                may_start_another = self._executor.execute(self._with_next(assignment))
        finally:
            with self._lock:
                self._executing -= 1
                if assignment:
                    self._packaging -= assignment.task.kind is TaskKind.PACKAGING
                    self._active.discard((assignment.run.run_id, assignment.run.attempt))
                    self._woken += may_start_another  # this thread checks the queue next; a call of `wake` is unanswered without a slot
                elif self._woken > self._answered:
                    self._condition.notify()  # there was no slot for the thread that was woken meanwhile
        return assignment is not None

    def _wait(self, has_executed: bool) -> tuple[bool, Assignment | None]:
        """Block until this thread has a slot, and a run or a reason to check the queue. Return False if something else is due."""
        with self._lock:
            self._idle += 1
            was_notified = True
            while not self._is_stopping:
                if self._assigned:
                    # Any thread may take it, in the same step: one slot was reserved for it.
                    return True, self._assigned.popleft()
                if self._idle > 0:  # a thread that is reserved must stay
                    if self._woken > self._answered and self._has_slot():
                        self._idle -= 1
                        self._executing += 1
                        return True, None
                    if not was_notified:
                        self._idle -= 1
                        return False, None
                was_notified = self._condition.wait(self._patience_seconds(has_executed))
            return False, None

    def _patience_seconds(self, has_executed: bool) -> float | None:
        if self._idle <= 0:
            return None  # it is reserved, and will be notified
        return _PAUSE_SECONDS if has_executed else self._seconds_until_due()

    def _claim_next(self) -> Assignment | None:
        with self._claiming:  # or two threads would each claim the last packaging for which there is room
            while not self._is_stopping and (found := self._claimable()):
                run_id, *others = found
                try:
                    assignment = self._claim(run_id)
                except IllegalMove:
                    continue  # another host claimed it first
                if others:
                    self.wake()  # other threads may be idle
                self._context.changes.announce(run_id)
                if assignment is None:
                    continue  # it has passed its starting deadline
                with self._lock:
                    self._packaging += assignment.task.kind is TaskKind.PACKAGING
                return assignment
        return None

    def _claimable(self) -> list[str]:
        """Return the next run in the queue, and the one after it."""
        woken = self._woken  # before the query: it does not see what is queued meanwhile
        may_package = self._packaging < self._context.settings.workers
        may_run = not self._executor.is_stepped and not self._context.postponed.are_paused()
        found = self._context.store.runs.claimable(
            self._context.host_id,
            self._context.clock.now(),
            2 if may_package or may_run else 0,
            whole_store=self.whole_store,
            packaging=None if may_package and may_run else may_package,
            excluded=self._context.postponed.not_due(),
        )
        if not found:
            with self._lock:
                self._answered = max(self._answered, woken)
        return found

    def _claim(self, run_id: str) -> Assignment | None:
        store = self._context.store
        with store.transaction() as transaction:
            run = store.claim(transaction, run_id, self._context.claim())
            if run is None:
                return None
            # Inside the transaction: if these reads failed after its commit, the run would stay claimed without a thread to execute it.
            task = store.tasks.get(run.task_id)
            return Assignment(run, task, store.orchestrations.get(task.orchestration_id))
