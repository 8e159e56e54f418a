"""The threads that run what is queued: claim, hand over, repeat. As many runs at once as there are threads, oldest first."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from orchlite.errors import Closed, IllegalMove
from orchlite.open_store import OpenStore
from orchlite.records import Assignment

_FOREIGN_LOOK_SECONDS = 0.5
_PAUSE_SECONDS = 0.02
"""After a run, how long a worker waits for the next before it does what is not urgent."""
_TROUBLE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Workers:
    """A fixed number of daemon threads, started at the first need."""

    def __init__(self, store: OpenStore, perform: Callable[[Assignment], None], rest: Callable[[], None]) -> None:
        """`perform` brings one claimed run to its end, `rest` does what is not urgent; both are called on workers' threads."""
        self._store = store
        self._perform = perform
        self._rest = rest
        self._condition = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._handed: deque[Assignment] = deque()
        self._free = 0
        """Threads that wait and that nobody has reserved."""
        self._asked = self._answered = 0
        """How often somebody said that something may be queued, and up to which of these a look has found nothing (more)."""
        self.whole_store = False
        """Whether what other hosts have queued is run here, too."""
        self._stopping = False

    def start(self, *, whole_store: bool = False) -> None:
        """Start the threads; with `whole_store` they also run what other hosts have queued. Idempotent."""
        with self._condition:
            self.whole_store = self.whole_store or whole_store
            if not self._threads and not self._stopping:
                names = [f"orchlite-worker-{number + 1}" for number in range(self._store.settings.workers)]
                self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
                for thread in self._threads:
                    thread.start()
        if whole_store:
            self.look()

    def reserve(self) -> bool:
        """Keep an idle worker for the caller, who then calls `hand`; False where all are busy, or others were first."""
        with self._condition:
            if self._free > 0 and self._asked == self._answered and not self._stopping:
                self._free -= 1
                return True
        return False

    def hand(self, assignment: Assignment) -> None:
        """Give the reserved worker a run that was claimed for it."""
        with self._condition:
            self._handed.append(assignment)
            self._condition.notify()

    def look(self) -> None:
        """Say that something may have been queued."""
        with self._condition:
            self._asked += 1
            self._condition.notify()

    def stop(self, patience_seconds: float) -> None:
        """Claim nothing more; idle threads end at once, busy ones after their run, for which this waits so long."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        deadline = self._store.clock.monotonic() + patience_seconds
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - self._store.clock.monotonic()))

    def _work(self) -> None:
        busy = False
        while not self._stopping:
            try:
                assignment = self._claim_next() or self._wait(_PAUSE_SECONDS if busy else None)
                if busy := assignment is not None:
                    self._perform(assignment)
                else:
                    self._rest()
            except Closed:
                return
            except Exception:
                # The store or the disk is in trouble; what was claimed stays claimed, and its result is on disk. The worker stays.
                _log.exception("a worker of the store %s met trouble", self._store.folder.path)
                threading.Event().wait(_TROUBLE_SECONDS)

    def _wait(self, patience_seconds: float | None) -> Assignment | None:
        """Until there is a run, or a reason to look for one, or patience is at its end."""
        if patience_seconds is None and self.whole_store:
            patience_seconds = _FOREIGN_LOOK_SECONDS
        with self._condition:
            self._free += 1
            heard = True
            while not self._stopping:
                if self._handed:
                    return self._handed.popleft()
                if (self._asked > self._answered or not heard) and self._free > 0:  # one that is reserved must not go away
                    self._free -= 1
                    return None
                heard = self._condition.wait(patience_seconds)
            return None

    def _claim_next(self) -> Assignment | None:
        runs = self._store.memory.runs
        while not self._stopping:
            asked = self._asked  # before the look: what is queued during it is not seen
            run_id = runs.next_claimable(self._store.host_id, whole_store=self.whole_store)
            if run_id is None:
                with self._condition:
                    self._answered = max(self._answered, asked)
                return None
            try:
                with self._store.memory.transaction() as transaction:
                    run = self._store.memory.claim(transaction, run_id, self._store.claim())
            except IllegalMove:
                continue  # another worker or host was quicker
            self.look()  # there may be more, and others may be idle
            self._store.notify()
            task = self._store.memory.tasks.get(run.task_id)
            return Assignment(run, task, self._store.memory.orchestrations.get(task.orchestration_id))
        return None
