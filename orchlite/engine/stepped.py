"""Simulated runs on a clock moved by hand: no process is started; a run ends when the clock reaches the end that was decided for it.

The same steps produce the same rows every time.
"""

from __future__ import annotations

import heapq
import threading
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, cast

from orchlite.core.errors import IllegalMove
from orchlite.core.records import RunResult, RunRow, TaskRow
from orchlite.core.status import RunStatus, TaskKind
from orchlite.operations import liveness, notification, outcome, packaging
from orchlite.operations.context import Assignment, Context
from orchlite.operations.outcome import Outcome
from orchlite.runs.protocol import Process


class SimulatedOutcome(NamedTuple):
    """How a simulated run ends."""

    status: RunStatus
    duration_seconds: float
    exit_code: int | None
    reason: str | None = None


class Simulation(Process, Protocol):
    """A process that executes nothing, and decides how runs end instead."""

    def outcome(self, run: RunRow, task: TaskRow) -> SimulatedOutcome:
        """Return how a run ends. Called when it starts, and again, with the same result, by a client that adopts it."""

    def cancelled(self, run_id: str) -> str | None:
        """Return why the run was cancelled; None if it was not."""


def simulation_of(process: object) -> Simulation | None:
    """Return what executes runs if it only simulates them, else None."""
    is_simulation = hasattr(process, "outcome") and hasattr(process, "cancelled")  # to check for a protocol takes 0.1 ms
    return cast("Simulation", process) if is_simulation else None


class _Planned(NamedTuple):
    """A simulated run in flight, and how it will end."""

    ends_at: datetime
    number: int
    run: RunRow
    task: TaskRow
    outcome: SimulatedOutcome


class SteppedExecutor:
    """Starts and ends simulated runs in the thread that moves the clock, one thread at a time."""

    is_stepped = True

    def __init__(self, context: Context, simulation: Simulation) -> None:
        self._context = context
        self._simulation = simulation
        self._lock = threading.RLock()
        self._planned: list[_Planned] = []
        self._started = 0
        self._errors: list[Exception] = []
        """Exceptions of the simulation that have not been raised to the caller yet."""

    def execute(self, assignment: Assignment) -> bool:
        """Declare an orchestration ready without installing anything, then start the runs that waited for it. Return True."""
        assert assignment.task.kind is TaskKind.PACKAGING, "simulated runs are not executed by worker threads"
        packaging.mark_ready(self._context, assignment)
        self.settle()
        return True

    def settle(self) -> None:
        """End the runs that were killed or have reached their end, and start those that have a worker slot, until nothing changes."""
        with self._lock:
            while self._end_due() or self._end_killed() or self._start_next():
                pass

    def adopt(self) -> None:
        """Continue the runs of hosts that are gone, with the ends that the simulation decides."""
        with self._lock:
            planned = {one.run.run_id for one in self._planned}
            for run in self._context.store.runs.running():
                if run.run_id not in planned and run.placement is None and self._is_ours_now(run):
                    self._plan(run)

    def next_end_at(self) -> datetime | None:
        """Return when the next run ends: aware, UTC."""
        with self._lock:
            return self._planned[0].ends_at if self._planned else None

    def raise_errors(self) -> None:
        """Raise the first error that the simulation has raised since the last call."""
        with self._lock:
            errors, self._errors = self._errors, []
        if errors:
            raise errors[0]

    def _is_ours_now(self, run: RunRow) -> bool:
        context, host_id = self._context, run.host_id
        if context.store.tasks.get(run.task_id).kind is TaskKind.PACKAGING or host_id is None:
            return False
        if host_id == context.host_id:
            return True  # an interrupt came between its claim and its plan
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
                reason = self._simulation.cancelled(run_id) or "it was killed on request"
                self._end(planned, RunStatus.KILLED, reason, self._context.clock.now())
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

    def _start_next(self) -> bool:
        """Claim and plan the next queued run; False if there is none, or no worker slot for it."""
        context = self._context
        if len(self._planned) >= context.settings.workers:
            return False
        # Worker threads claim the packaging runs.
        run_id = context.store.runs.next_claimable(context.host_id, context.clock.now(), whole_store=True, packaging=False)
        if run_id is None:
            return False
        try:
            with context.store.transaction() as transaction:
                run = context.store.claim(transaction, run_id, context.claim())
        except IllegalMove:
            return True  # another client claimed it first
        if run is not None:  # else it has passed its starting deadline
            self._plan(run)
        return True

    def _plan(self, run: RunRow) -> None:
        """Decide when and how a run that has started will end."""
        task = self._context.store.task_versions.as_run(self._context.store.tasks.get(run.task_id), run.run_id)
        decided = self._decide(run, task)
        limit_seconds = float("inf") if task.timeout_seconds is None else task.timeout_seconds
        lasts = timedelta(seconds=min(decided.duration_seconds, limit_seconds))
        self._started += 1
        ends_at = (run.claimed_at or self._context.clock.now()) + lasts
        heapq.heappush(self._planned, _Planned(ends_at, self._started, run, task, decided))
        self._context.changes.announce()

    def _decide(self, run: RunRow, task: TaskRow) -> SimulatedOutcome:
        try:
            return self._simulation.outcome(run, task)
        except Exception as error:
            # The run has started, so it must end; the caller that moves the clock gets the error.
            error.add_note(f"Raised for run {run.run_id}, which has ended as a failure.")
            self._errors.append(error)
            return SimulatedOutcome(RunStatus.FAILURE, 0, None, f"the stub process raised {error!r:.200}")

    def _end(self, planned: _Planned, status: RunStatus, reason: str | None, at: datetime) -> None:
        store, run = self._context.store, planned.run
        started_at = run.claimed_at or at
        at = max(at, started_at)  # the clock may have been set back
        exit_code = planned.outcome.exit_code if status is planned.outcome.status else None
        result = RunResult(status, exit_code, started_at, at, (at - started_at).total_seconds(), reason)
        with suppress(IllegalMove):
            with store.transaction() as transaction:
                ended = Outcome(run.run_id, run.task_id, result, run.attempt, self._context.host_id, self._context.host_commands())
                is_promised = outcome.record_end(store, transaction, ended, self._context.clock.now()).is_promised
            if is_promised:
                notification.notify(self._context, run.run_id, status)
        self._context.changes.announce()
