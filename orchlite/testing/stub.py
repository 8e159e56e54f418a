"""A process that executes nothing and simulates how runs end, on a clock that is moved by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from orchlite.core.errors import BadArgument
from orchlite.core.folders import RunFolder
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import RunStatus
from orchlite.engine.stepped import SimulatedOutcome
from orchlite.runs.spec import Alive, NeverStarted, Observation, RunSpec

_MAX_SECONDS = 1e10
_OUTCOMES = (RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.TIMED_OUT, RunStatus.KILLED, RunStatus.UNKNOWN)
_EXIT_CODES = {RunStatus.SUCCESS: 0, RunStatus.FAILURE: 1}


class StubRun(NamedTuple):
    """A run that a `StubProcess` has simulated."""

    run_id: str
    task_id: str
    task_name: str | None
    orchestration_id: str
    arguments: dict[str, Any]
    slot_at: datetime | None
    """The slot of a scheduled task, aware, UTC; None for other tasks."""
    started_at: datetime
    """Aware, UTC."""
    number: int
    """1 for the first run of this stub."""


Decide = Callable[[StubRun], str | tuple[str, float]]
"""Return a run's status, or its status and its duration in seconds."""


class StubProcess:
    """Simulates runs on a manual clock: `Client.temporary(clock=clock, process=StubProcess("failure", 90))`.

    No program is started, and nothing is installed or unpacked. `runs` records what would have run.
    """

    def __init__(self, status: str | Decide = "success", duration_seconds: float = 0, *, exit_code: int | None = None) -> None:
        """Let every run end with `status` after `duration_seconds` on the manual clock.

        `status` may be a function of the `StubRun` that returns a status, or a status and a duration: `("failure", 5.0)`. It may use the
        client, but cannot move the clock. If it raises, the run ends as a failure, and `advance` raises the exception.

        exit_code: the exit code of every run; by default 0 for a success, 1 for a failure, and None otherwise.

        Raises:
            BadArgument: `status` is not a status in which a run can end, or `duration_seconds` is not from 0 to 1e10. If a function returns
                such a value, `advance` raises this.
        """
        self.runs: list[StubRun] = []
        """What would have run, in the order of the starts."""
        self._exit_code = exit_code
        self._outcomes: dict[str, SimulatedOutcome] = {}
        self._reasons: dict[str, str] = {}
        self._decide = status if callable(status) else lambda _: (status, duration_seconds)
        if not callable(status):
            _checked_outcome((status, duration_seconds))

    def outcome(self, run: RunRow, task: TaskRow) -> SimulatedOutcome:
        """Return how a run ends. Decided once: a client that adopts the run gets the same outcome.

        Raises:
            BadArgument: the function that decides returned something else than an outcome.
        """
        if run.run_id not in self._outcomes:
            self._outcomes[run.run_id] = self._decided(run, task)
        return self._outcomes[run.run_id]

    def cancelled(self, run_id: str) -> str | None:
        """Return why the run was cancelled; None if it was not."""
        return self._reasons.get(run_id)

    def _decided(self, run: RunRow, task: TaskRow) -> SimulatedOutcome:
        started_at = run.claimed_at or run.created_at
        arguments: dict[str, Any] = json.loads(task.arguments)
        number = len(self.runs) + 1
        stub_run = StubRun(
            run.run_id, task.task_id, task.name, task.orchestration_id, arguments, run.slot_at or run.repeated_slot_at, started_at, number
        )
        self.runs.append(stub_run)
        status, seconds = _checked_outcome(self._decide(stub_run))
        exit_code = self._exit_code if self._exit_code is not None else _EXIT_CODES.get(status)
        return SimulatedOutcome(status, seconds, exit_code)

    def warm(self) -> None:
        """Do nothing: there is nothing to start."""

    def place(self, spec: RunSpec) -> None:
        """Never called: a client with a stub starts no programs."""
        raise AssertionError(f"run {spec.run_id} was placed with a stub")

    def prepare(self, spec: RunSpec) -> None:
        """Never called: a client with a stub prepares no runs."""

    def drop(self, folder: RunFolder) -> None:
        """Do nothing: nothing is prepared."""

    def wait(self, folder: RunFolder) -> Observation:
        """Return `observe(folder)`, at once: only the clock ends a simulated run."""
        return self.observe(folder)

    def observe(self, folder: RunFolder) -> Observation:
        """Return `Alive` for a run that this stub simulates, and `NeverStarted` for any other."""
        return Alive() if folder.run_id in self._outcomes else NeverStarted()

    def look(self, folder: RunFolder) -> Observation:
        """Return `observe(folder)`: the name of that method before version 0.2."""
        return self.observe(folder)

    def cancel(self, folder: RunFolder, reason: str) -> None:
        """Keep the reason; the run ends when the clock is stepped."""
        self._reasons[folder.run_id] = reason

    def discard(self, folder: RunFolder) -> tuple[int, ...]:
        """Return nothing: no process was started."""
        return ()

    def close(self) -> None:
        """Do nothing: nothing is open."""


def _checked_outcome(outcome: object) -> tuple[RunStatus, float]:
    status, seconds = outcome if isinstance(outcome, tuple) and len(outcome) == 2 else (outcome, 0)
    if not isinstance(status, str) or status not in _OUTCOMES:
        raise BadArgument(f"status is {status!r:.80}.", hint=f"It must be one of: {', '.join(_OUTCOMES)}.", argument="status")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_SECONDS:
        hint = f"It must be from 0 to {_MAX_SECONDS:g} seconds."
        raise BadArgument(f"duration_seconds is {seconds!r:.80}.", hint=hint, argument="duration_seconds")
    return RunStatus(status), float(seconds)
