"""The threads that run what is queued: claim, hand over, repeat. As many runs at once as there are places, oldest first.

A place is taken by a run that is performed here, or by one that was adopted from a dead host and goes on. A run whose program waits for
another run lends its place: without that, a run that starts others and waits for them would wait for ever where there is one worker.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchlite.core.errors import Closed, IllegalMove
from orchlite.operations.context import Assignment, Context

_PAUSE_SECONDS = 0.02
"""After a run, how long a worker waits for the next before it does what is not urgent."""
_TROUBLE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Workers:
    """Daemon threads, started at the first need: one for each place."""

    def __init__(self, context: Context, perform: Callable[[Assignment], None], rest: Callable[[], None]) -> None:
        """`perform` brings one claimed run to its end, `rest` does what is not urgent; both are called on workers' threads."""
        self._context = context
        self._perform = perform
        self._rest = rest
        self._condition = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._handed: deque[Assignment] = deque()
        self._free = 0
        """Threads that wait and that nobody has reserved."""
        self._taken = self._adopted = self._lent = 0
        """Places in use here, those of runs that were adopted, and those that waiting runs lend."""
        self._asked = self._answered = 0
        """How often somebody said that something may be queued, and up to which of these a look has found nothing (more)."""
        self.whole_store = False
        """Whether what other hosts have queued is run here, too."""
        self._stopping = False

    def are_busy(self) -> bool:
        """Whether a run goes on here."""
        return self._taken + self._adopted > 0

    def start(self, *, whole_store: bool = False) -> None:
        """Start the threads; with `whole_store` they also run what other hosts have queued. Idempotent. Inside a task nothing happens."""
        if self._context.own_run_id is not None:
            return
        with self._condition:
            self.whole_store = self.whole_store or whole_store
            self._start_threads(self._context.settings.workers)
        if whole_store:
            self.wake()

    def reserve(self) -> bool:
        """Keep an idle worker and a place for the caller, who then calls `hand`; False where all are busy, or others were first."""
        if self._asked != self._answered and self._free > 0 and self._next_claimable() is not None:
            return False
        with self._condition:
            if self._context.stub is None and self._free > 0 and self._has_place() and self._asked == self._answered and not self._stopping:
                self._free -= 1
                self._taken += 1
                return True
        return False

    def assign(self, assignment: Assignment) -> None:
        """Give the reserved worker a run that was claimed for it."""
        with self._condition:
            self._context.active_attempts.add((assignment.run.run_id, assignment.run.attempt))
            self._handed.append(assignment)
            self._condition.notify()

    def wake(self) -> None:
        """Say that something may have been queued."""
        with self._condition:
            self._asked += 1
            self._condition.notify()

    @contextmanager
    def adopted(self) -> Iterator[None]:
        """A place is taken by an adopted run while the block lasts, whether there is one or not: nothing more begins until there is."""
        with self._condition:
            self._adopted += 1
        try:
            yield
        finally:
            with self._condition:
                self._adopted -= 1
                self._asked += 1
                self._condition.notify_all()

    def set_blocked(self, places: int) -> None:
        """So many of the runs here wait for others and lend their places."""
        with self._condition:
            if places > self._lent and self._threads:
                self._start_threads(self._context.settings.workers + places)
                self._asked += 1
            self._lent = places
            self._condition.notify_all()

    def stop(self, patience_seconds: float) -> None:
        """Claim nothing more; idle threads end at once, busy ones after their run, for which this waits so long."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        deadline = self._context.clock.monotonic() + patience_seconds
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - self._context.clock.monotonic()))

    def _start_threads(self, number: int) -> None:
        while len(self._threads) < number and not self._stopping:
            name = f"orchlite-worker-{len(self._threads) + 1}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()

    def _has_place(self) -> bool:
        return self._taken + self._adopted < self._context.settings.workers + self._lent

    def _work(self) -> None:
        patience_seconds: float | None = None
        while not self._stopping:
            try:
                if self._take_turn(patience_seconds):
                    patience_seconds = _PAUSE_SECONDS
                elif patience_seconds is not None:
                    patience_seconds = None
                    self._rest()
            except Closed:
                return
            except Exception:
                # The store or the disk is in trouble; what was claimed stays claimed, and its result is on disk. The worker stays.
                _log.exception("a worker of the store %s met trouble", self._context.folder.path)
                self.wake()  # the others, while this one waits
                threading.Event().wait(_TROUBLE_SECONDS)

    def _take_turn(self, patience_seconds: float | None) -> bool:
        """Wait for a place and a reason to use it, and perform one run; False where nothing came of it."""
        has_place, assignment = self._wait(patience_seconds)
        if not has_place:
            return False
        try:
            assignment = assignment or self._claim_next()
            if assignment is not None:
                self._context.active_attempts.add((assignment.run.run_id, assignment.run.attempt))
                self._perform(assignment)
        finally:
            with self._condition:
                self._taken -= 1
                if assignment:
                    self._context.active_attempts.discard((assignment.run.run_id, assignment.run.attempt))
                    self._asked += 1  # there is a place again, and perhaps more that may begin now: this thread looks next
                elif self._asked > self._answered:
                    self._condition.notify()  # there was no place for whoever was asked meanwhile
        return assignment is not None

    def _wait(self, patience_seconds: float | None) -> tuple[bool, Assignment | None]:
        """Until this thread has a place, and a run or a reason to look for one; False where patience is at its end."""
        with self._condition:
            self._free += 1
            heard = True
            while not self._stopping:
                if self._handed:
                    # Whichever thread is first takes it; in the same step, since there is a place for one.
                    return True, self._handed.popleft()
                if self._free > 0:  # one that is reserved must not go away
                    if self._asked > self._answered and self._has_place():
                        self._free -= 1
                        self._taken += 1
                        return True, None
                    if not heard:
                        self._free -= 1
                        return False, None
                heard = self._condition.wait(patience_seconds)
            return False, None

    def _claim_next(self) -> Assignment | None:
        while not self._stopping and (run_id := self._next_claimable()) is not None:
            try:
                assignment = self._claim(run_id)
            except IllegalMove:
                continue  # another worker or host was quicker
            self.wake()  # there may be more, and others may be idle
            self._context.changes.announce(run_id)
            if assignment is None:
                continue  # its slot is too long ago
            return assignment
        return None

    def _next_claimable(self) -> str | None:
        asked = self._asked  # before the look: what is queued during it is not seen
        packaging = None if self._context.stub is None else True  # whose runs are no work
        run_id = self._context.store.runs.next_claimable(self._context.host_id, whole_store=self.whole_store, packaging=packaging)
        if run_id is None:
            with self._condition:
                self._answered = max(self._answered, asked)
        return run_id

    def _claim(self, run_id: str) -> Assignment | None:
        store = self._context.store
        with store.transaction() as transaction:
            run = store.claim(transaction, run_id, self._context.claim())
            if run is None:
                return None
            # Inside: a claim that nobody hears of would keep the run from its end.
            task = store.tasks.get(run.task_id)
            return Assignment(run, task, store.orchestrations.get(task.orchestration_id))
