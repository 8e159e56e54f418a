"""Steps an open store on a clock moved by hand: does what is due at each instant, in order, until nothing more is due then."""

from __future__ import annotations

from datetime import datetime

from orchlite.core.status import TaskKind
from orchlite.engine.executors import Executor
from orchlite.engine.scheduler import Scheduler
from orchlite.engine.waiting import Waiting
from orchlite.operations.context import Context


class TimeTravel:
    """The part of an engine that `ManualClock` steps. Any thread may call it, one at a time."""

    def __init__(self, context: Context, scheduler: Scheduler, executor: Executor, waiting: Waiting) -> None:
        self._context = context
        self._scheduler = scheduler
        self._executor = executor
        self._waiting = waiting

    @property
    def is_closed(self) -> bool:
        """Whether the store was closed."""
        return self._context.closed.is_set()

    def next_at(self) -> datetime | None:
        """Return when something happens next, a task or a try is due, or a stepped run ends: aware, UTC; None if nothing will."""
        store = self._context.store
        times = [store.tasks.next_due(), store.tries.next_at(self._context.clock.now()), self._executor.next_end_at()]
        return min(filter(None, times), default=None)

    def step(self) -> None:
        """Do what is due now: end runs first, then start runs. Block until every real run has ended.

        Raises what a simulation raised, after everything else is done.
        """
        ends_at = self._executor.next_end_at()
        if ends_at is not None and ends_at <= self._context.clock.now():
            self._executor.settle()
        self._scheduler.dispatch_due()
        if not self._executor.is_stepped:
            self._waiting.for_submitted(None)
        self._executor.settle()
        self._executor.raise_errors()

    def settle(self) -> None:
        """Do everything that can be done at this instant. Block until packaging and real runs have ended.

        Raises what a simulation raised, after everything else is done.
        """
        self._scheduler.notice_clock()
        if self._executor.is_stepped:
            self._waiting.for_submitted(None, {TaskKind.PACKAGING})
        else:
            self._waiting.for_submitted(None)
        self._executor.adopt()
        self._executor.settle()
        self._executor.raise_errors()
