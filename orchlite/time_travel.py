"""One open store on a clock that is moved by hand: what happens at each instant, in order, until nothing is left to happen then.

Real runs begin and end at one instant of that clock. Runs of a stub process end when the clock has reached their end; nothing is started
for them. The same steps give the same rows every time.
"""

from __future__ import annotations

import heapq
import threading
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from orchlite import ends, telling
from orchlite.ends import Ending
from orchlite.errors import IllegalMove
from orchlite.open_store import OpenStore
from orchlite.records import Assignment, RunResult
from orchlite.replaceable import Stub, StubOutcome
from orchlite.scheduler import Scheduler
from orchlite.status import RunStatus, TaskKind
from orchlite.waiting import Waiting


class _Planned(NamedTuple):
    """A stub run that goes on, and how it will end."""

    ends_at: datetime
    number: int
    assignment: Assignment
    outcome: StubOutcome


class TimeTravel:
    """What `ManualClock` drives. Any thread may call it; one at a time is at work."""

    def __init__(self, store: OpenStore, scheduler: Scheduler, waiting: Waiting) -> None:
        self._store = store
        self._scheduler = scheduler
        self._waiting = waiting
        self._lock = threading.RLock()
        self._planned: list[_Planned] = []
        self._begun = 0

    @property
    def is_over(self) -> bool:
        """Whether the store was closed."""
        return self._store.closed.is_set()

    def next_at(self) -> datetime | None:
        """When something happens next: a task is due, or a stub run ends."""
        with self._lock:
            times = [self._store.memory.tasks.next_due(), self._planned[0].ends_at if self._planned else None]
            return min(filter(None, times), default=None)

    def act(self) -> None:
        """Let happen what is due by now: first what ends, then what begins. Blocks until every real run has ended."""
        if self._planned and self._planned[0].ends_at <= self._store.clock.now():
            self.settle_stubs()
        self._scheduler.dispatch_due()
        if self._store.stub is None:
            self._waiting.for_submitted(None)
        self.settle_stubs()

    def settle(self) -> None:
        """Let everything that can go on at this instant do so. Blocks until packaging and real runs have ended."""
        if self._store.stub is None:
            self._waiting.for_submitted(None)
        else:
            self._waiting.for_submitted(None, {TaskKind.PACKAGING})
            self.settle_stubs()

    def settle_stubs(self) -> None:
        """Where there is a stub: end the runs that were killed or whose time has come, and begin those that have a place."""
        stub = self._store.stub
        with self._lock:
            while stub is not None and (self._end_killed() or self._end_due() or self._begin(stub)):
                pass

    def _end_killed(self) -> bool:
        for planned in self._planned:
            row = self._store.memory.runs.find(planned.assignment.run.run_id)
            if row is None or row.kill_requested:
                self._planned.remove(planned)
                heapq.heapify(self._planned)
                self._end(planned, RunStatus.KILLED, "it was killed on request")
                return True
        return False

    def _end_due(self) -> bool:
        if not self._planned or self._planned[0].ends_at > self._store.clock.now():
            return False
        planned = heapq.heappop(self._planned)
        timeout_seconds = planned.assignment.task.timeout_seconds
        if timeout_seconds is not None and planned.outcome.duration_seconds > timeout_seconds:
            self._end(planned, RunStatus.TIMED_OUT, f"it ran for longer than its timeout of {timeout_seconds:g} s")
        else:
            self._end(planned, planned.outcome.status, None)
        return True

    def _begin(self, stub: Stub) -> bool:
        """Claim the next run, where there is one and a place for it. One that takes no time ends in the same transaction."""
        store, memory = self._store, self._store.memory
        run_id = memory.runs.next_claimable(store.host_id, whole_store=True)
        if run_id is None or len(self._planned) >= store.settings.workers:
            return False
        with memory.transaction() as transaction:
            run = memory.claim(transaction, run_id, store.claim())
            if run is None:
                return True  # its slot is too long ago
            task = memory.tasks.seen(transaction, run.task_id) or memory.tasks.get(run.task_id)
            assignment = Assignment(run, task, memory.orchestrations.get(task.orchestration_id))
            planned = self._plan(assignment, stub.outcome(assignment))
            if planned.ends_at == store.clock.now():
                ends.end(memory, transaction, self._ending(planned, planned.outcome.status, None), store.clock.now())
            else:
                heapq.heappush(self._planned, planned)
        if planned not in self._planned:
            telling.tell(store, run_id, planned.outcome.status)
        store.notify()
        return True

    def _plan(self, assignment: Assignment, outcome: StubOutcome) -> _Planned:
        timeout_seconds = assignment.task.timeout_seconds
        seconds = outcome.duration_seconds if timeout_seconds is None else min(outcome.duration_seconds, timeout_seconds)
        self._begun += 1
        return _Planned(self._store.clock.now() + timedelta(seconds=seconds), self._begun, assignment, outcome)

    def _end(self, planned: _Planned, status: RunStatus, reason: str | None) -> None:
        memory = self._store.memory
        with suppress(IllegalMove), memory.transaction() as transaction:
            ends.end(memory, transaction, self._ending(planned, status, reason), self._store.clock.now())
        telling.tell(self._store, planned.assignment.run.run_id, status)
        self._store.notify()

    def _ending(self, planned: _Planned, status: RunStatus, reason: str | None) -> Ending:
        run, now = planned.assignment.run, self._store.clock.now()
        begun_at = run.claimed_at or now
        exit_code = planned.outcome.exit_code if status is planned.outcome.status else None
        result = RunResult(status, exit_code, begun_at, now, (now - begun_at).total_seconds(), reason)
        return Ending(run.run_id, run.task_id, result, run.attempt)
