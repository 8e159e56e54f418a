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

from orchlite.core.errors import IllegalMove
from orchlite.core.protocols import Stub, StubOutcome
from orchlite.core.records import RunResult, RunRow, TaskRow
from orchlite.core.status import RunStatus, TaskKind
from orchlite.engine.scheduler import Scheduler
from orchlite.engine.waiting import Waiting
from orchlite.operations import liveness, notification
from orchlite.operations import outcome as ends
from orchlite.operations.context import Context
from orchlite.operations.outcome import Ending


class _Planned(NamedTuple):
    """A stub run that goes on, and how it will end."""

    ends_at: datetime
    number: int
    run: RunRow
    task: TaskRow
    outcome: StubOutcome


class TimeTravel:
    """What `ManualClock` drives. Any thread may call it; one at a time is at work."""

    def __init__(self, context: Context, scheduler: Scheduler, waiting: Waiting) -> None:
        self._context = context
        self._scheduler = scheduler
        self._waiting = waiting
        self._lock = threading.RLock()
        self._planned: list[_Planned] = []
        self._begun = 0
        self._errors: list[Exception] = []
        """What a stub process raised and nobody has heard of yet."""

    @property
    def is_over(self) -> bool:
        """Whether the store was closed."""
        return self._context.closed.is_set()

    def next_at(self) -> datetime | None:
        """When something happens next: a task is due, or a stub run ends."""
        with self._lock:
            times = [self._context.store.tasks.next_due(), self._planned[0].ends_at if self._planned else None]
            return min(filter(None, times), default=None)

    def act(self) -> None:
        """Let happen what is due by now: first what ends, then what begins. Blocks until every real run has ended.

        Raises what a stub process raised, when all else is done.
        """
        if self._planned and self._planned[0].ends_at <= self._context.clock.now():
            self.settle_stubs()
        self._scheduler.dispatch_due()
        if self._context.stub is None:
            self._waiting.for_submitted(None)
        self.settle_stubs()
        self._report()

    def settle(self) -> None:
        """Let everything that can go on at this instant do so. Blocks until packaging and real runs have ended.

        Raises what a stub process raised, when all else is done.
        """
        self._scheduler.notice_clock()
        if self._context.stub is None:
            self._waiting.for_submitted(None)
        else:
            self._waiting.for_submitted(None, {TaskKind.PACKAGING})
            self._take_over(self._context.stub)
            self.settle_stubs()
        self._report()

    def settle_stubs(self) -> None:
        """Where there is a stub: end the runs that were killed or whose time has come, and begin those that have a place."""
        stub = self._context.stub
        with self._lock:
            while stub is not None and (self._end_due() or self._end_killed() or self._begin(stub)):
                pass

    def _take_over(self, stub: Stub) -> None:
        """Go on with the runs of hosts that are gone: how they end, the stub says."""
        with self._lock:
            planned = {one.run.run_id for one in self._planned}
            for run in self._context.store.runs.running():
                if run.run_id not in planned and self._is_ours_now(run):
                    self._go_on(stub, run)

    def _is_ours_now(self, run: RunRow) -> bool:
        context, host_id = self._context, run.host_id
        if context.store.tasks.get(run.task_id).kind is TaskKind.PACKAGING or host_id is None:
            return False
        if host_id == context.host_id:
            return True  # an interrupt came when it had just begun
        if liveness.is_alive(context.folder.hosts, host_id):
            return False
        with context.store.transaction() as transaction:
            return context.store.runs.adopt(transaction, run.run_id, host_id, context.host_id)

    def _end_killed(self) -> bool:
        for planned in self._planned:
            run_id = planned.run.run_id
            row = self._context.store.runs.find(run_id)
            if row is None or row.kill_requested:
                self._planned.remove(planned)
                heapq.heapify(self._planned)
                why = self._context.stub and self._context.stub.cancelled(run_id)
                self._end(planned, RunStatus.KILLED, why or "it was killed on request", self._context.clock.now())
                return True
        return False

    def _end_due(self) -> bool:
        if not self._planned or self._planned[0].ends_at > self._context.clock.now():
            return False
        planned = heapq.heappop(self._planned)
        timeout_seconds = planned.task.timeout_seconds
        if timeout_seconds is not None and planned.outcome.duration_seconds > timeout_seconds:
            reason = f"it ran for longer than its timeout of {timeout_seconds:g} s"
            self._end(planned, RunStatus.TIMED_OUT, reason, planned.ends_at)
        else:
            self._end(planned, planned.outcome.status, planned.outcome.reason, planned.ends_at)
        return True

    def _begin(self, stub: Stub) -> bool:
        """Claim the next run, where there is one and a place for it."""
        context = self._context
        if len(self._planned) >= context.settings.workers:
            return False
        run_id = context.store.runs.next_claimable(context.host_id, whole_store=True, packaging=False)  # which workers do
        if run_id is None:
            return False
        try:
            with context.store.transaction() as transaction:
                run = context.store.claim(transaction, run_id, context.claim())
        except IllegalMove:
            return True  # another client was quicker
        if run is not None:  # else its slot is too long ago
            self._go_on(stub, run)
        return True

    def _go_on(self, stub: Stub, run: RunRow) -> None:
        """Plan the end of a run that has begun."""
        task = self._context.store.tasks.get(run.task_id)
        outcome = self._outcome(stub, run, task)
        limit_seconds = float("inf") if task.timeout_seconds is None else task.timeout_seconds
        lasts = timedelta(seconds=min(outcome.duration_seconds, limit_seconds))
        self._begun += 1
        heapq.heappush(self._planned, _Planned((run.claimed_at or self._context.clock.now()) + lasts, self._begun, run, task, outcome))
        self._context.changes.announce()

    def _outcome(self, stub: Stub, run: RunRow, task: TaskRow) -> StubOutcome:
        try:
            return stub.outcome(run, task)
        except Exception as error:
            # The run has begun, so it must have an end; whoever moves the clock hears of the error.
            error.add_note(f"Raised for run {run.run_id}, which has ended as a failure.")
            self._errors.append(error)
            return StubOutcome(RunStatus.FAILURE, 0, None, f"the stub process raised {error!r:.200}")

    def _report(self) -> None:
        with self._lock:
            errors, self._errors = self._errors, []
        if errors:
            raise errors[0]

    def _end(self, planned: _Planned, status: RunStatus, reason: str | None, at: datetime) -> None:
        store, run = self._context.store, planned.run
        begun_at = run.claimed_at or at
        at = max(at, begun_at)  # the clock may have been set back
        exit_code = planned.outcome.exit_code if status is planned.outcome.status else None
        result = RunResult(status, exit_code, begun_at, at, (at - begun_at).total_seconds(), reason)
        with suppress(IllegalMove):
            with store.transaction() as transaction:
                ending = Ending(run.run_id, run.task_id, result, run.attempt, self._context.host_id)
                ends.record_end(store, transaction, ending, self._context.clock.now())
            notification.notify(self._context, run.run_id, status)
        self._context.changes.announce()
