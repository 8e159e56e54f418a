"""For tests: a clock that is moved by hand, a process that only says how its runs end, and a run inside the test's own process.

```
clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
with Client.temporary(clock=clock, process=StubProcess()) as wl:
    task = wl.upload_orchestration(path="nightly").run_scheduled("nightly", "30 2 * * *")
    clock.advance(days=31)
    assert len(task.last_runs()) == 31
```
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from orchlite.core.arguments import checked_moment
from orchlite.core.clock import SteppedStore
from orchlite.core.errors import BadArgument, Conflict
from orchlite.core.folders import RunFolder
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import RunStatus
from orchlite.engine.stepped import SimulatedOutcome
from orchlite.runs.spec import Alive, NeverStarted, Observation, RunSpec

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.testing.bundle_files import Given

__all__ = ["ManualClock", "StubProcess", "StubRun", "run_inline"]

_LONGEST_SECONDS = 1e10
_ENDS = (RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.TIMED_OUT, RunStatus.KILLED, RunStatus.UNKNOWN)


class ManualClock:
    """A clock that stands still until it is advanced: `Client.temporary(clock=ManualClock(start))`.

    Whoever has it starts no cron loop of its own: what is due happens during `advance`, in the thread that calls it. All times of tasks and
    runs are this clock's; time limits of real programs and of waits are real.
    """

    def __init__(self, start: datetime) -> None:
        """`start` is an aware time.

        Raises:
            BadArgument: it is none.
        """
        self._now = checked_moment(start, "start").astimezone(UTC)
        self._stores: list[SteppedStore] = []
        self._lock = threading.RLock()
        self._is_moving = False
        self._movers = {threading.current_thread()}

    def now(self) -> datetime:
        """The time that it shows: aware, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds of the real monotonic clock: waits are real."""
        return time.monotonic()

    def attach(self, store: SteppedStore) -> None:
        """Called by a store that is opened on this clock."""
        self._stores.append(store)

    def may_be_moved_elsewhere(self) -> bool:
        """Whether another thread, which lives, made this clock or has moved it: else it stands still while this one waits."""
        return any(thread.is_alive() for thread in self._movers.copy() if thread is not threading.current_thread())

    def advance(self, by: timedelta = timedelta(), /, **more: float) -> None:
        """Let time pass: `advance(days=7)`, `advance(hours=1, minutes=30)`, as for `timedelta`, or such a `timedelta` itself.

        First waits for packaging. Then stops at every instant at which something is due, in order, and has it done: runs end, slots are
        dispatched, real runs are waited for. Returns when the time is reached and nothing more is to happen then.

        Any thread may advance it; one after the other does. A real program that never ends, and that nobody kills, keeps it for ever.

        Raises:
            BadArgument: time does not go back, or not so far ahead.
            Conflict: it is called by what it has called itself: by a function that a `StubProcess` was given.
        """
        with self._moving():
            try:
                until = self._now + by + timedelta(**more)
            except (OverflowError, ValueError) as error:
                hint = "It ends with the year 9999."
                raise BadArgument(f"The clock cannot be advanced so far: {error}.", hint=hint, argument="by") from error
            self._advance_to(until)

    def advance_to(self, until: datetime) -> None:
        """As `advance`, up to this time.

        Raises:
            BadArgument: it has passed already, or has no zone.
            Conflict: as `advance`.
        """
        with self._moving():
            self._advance_to(checked_moment(until, "until").astimezone(UTC))

    def set(self, to: datetime) -> None:
        """Set the clock to any time, as when a machine's clock is corrected: nothing happens on the way, and nothing until it is advanced.

        Raises:
            BadArgument: it has no zone.
        """
        with self._moving():
            self._now = checked_moment(to, "to").astimezone(UTC)

    @contextmanager
    def _moving(self) -> Iterator[None]:
        with self._lock:
            if self._is_moving:
                raise Conflict("The clock is being moved already.", hint="What happens on the way cannot move it.")
            self._movers = {*filter(threading.Thread.is_alive, self._movers), threading.current_thread()}
            self._is_moving = True
            try:
                yield
            finally:
                self._is_moving = False

    def _advance_to(self, until: datetime) -> None:
        if until < self._now:
            raise BadArgument(f"It is {self._now.isoformat()} already.", hint="set() sets the clock to any time.", argument="until")
        self._each(lambda store: store.settle())
        while (at := self._next_at()) is not None and at <= until:
            self._now = max(at, self._now)
            self._each(lambda store: store.step())
        self._now = until

    def _each(self, act: Callable[[SteppedStore], None]) -> None:
        self._stores = [store for store in self._stores if not store.is_closed]
        for store in self._stores:
            act(store)

    def _next_at(self) -> datetime | None:
        times = [store.next_at() for store in self._stores if not store.is_closed]
        return min(filter(None, times), default=None)


class StubRun(NamedTuple):
    """A run that a `StubProcess` was asked for."""

    run_id: str
    task_id: str
    task_name: str | None
    orchestration_id: str
    arguments: dict[str, Any]
    slot_at: datetime | None
    """The slot of a scheduled task; None for other runs."""
    started_at: datetime
    number: int
    """1 for the first run that this stub was asked for."""


Decide = Callable[[StubRun], str | tuple[str, float]]


class StubProcess:
    """Ends runs on a manual clock without starting anything: `Client.temporary(clock=clock, process=StubProcess("failure", 90))`.

    Nothing is installed or unpacked, either. What would have run is in `runs`, in order.
    """

    def __init__(self, status: str | Decide = "success", duration_seconds: float = 0, *, exit_code: int | None = None) -> None:
        """How runs end and how long they take, on the manual clock; or a function of the run that says so: `("failure", 5.0)`.

        The function may use the client, but cannot move the clock. Where it raises, the run ends as a failure, and `advance` raises it.

        exit_code: that of runs that end by themselves; 0 for a success and 1 for a failure by default.

        Raises:
            BadArgument: it is no status in which a run can end, or the duration is negative.
        """
        self.runs: list[StubRun] = []
        """What would have run, in order."""
        self._exit_code = exit_code
        self._outcomes: dict[str, SimulatedOutcome] = {}
        self._reasons: dict[str, str] = {}
        self._decide = status if callable(status) else lambda _: (status, duration_seconds)
        if not callable(status):
            _checked_outcome((status, duration_seconds))

    def outcome(self, run: RunRow, task: TaskRow) -> SimulatedOutcome:
        """Decide how a run ends, once for each: the answer is kept, for a client that goes on with another's runs."""
        if run.run_id not in self._outcomes:
            self._outcomes[run.run_id] = self._decided(run, task)
        return self._outcomes[run.run_id]

    def cancelled(self, run_id: str) -> str | None:
        """Why the run is to end, where somebody said so."""
        return self._reasons.get(run_id)

    def _decided(self, run: RunRow, task: TaskRow) -> SimulatedOutcome:
        began_at = run.claimed_at or run.created_at
        arguments: dict[str, Any] = json.loads(task.arguments)
        stub_run = StubRun(run.run_id, task.task_id, task.name, task.orchestration_id, arguments, run.slot_at, began_at, len(self.runs) + 1)
        self.runs.append(stub_run)
        status, seconds = _checked_outcome(self._decide(stub_run))
        exit_code = self._exit_code if self._exit_code is not None else {RunStatus.SUCCESS: 0, RunStatus.FAILURE: 1}.get(status)
        return SimulatedOutcome(status, seconds, exit_code)

    def warm(self) -> None:
        """Nothing is to be made quick."""

    def place(self, spec: RunSpec) -> None:
        """Never called: a store on a stub places nothing."""
        raise AssertionError(f"run {spec.run_id} was placed with a stub")

    def wait(self, folder: RunFolder) -> Observation:
        """There is nothing to wait for."""
        return self.observe(folder)

    def observe(self, folder: RunFolder) -> Observation:
        """A stub run goes on until its clock says otherwise; one of another process was never started."""
        return Alive() if folder.run_id in self._outcomes else NeverStarted()

    def look(self, folder: RunFolder) -> Observation:
        """Return `observe(folder)`: the name of that method before version 0.2."""
        return self.observe(folder)

    def cancel(self, folder: RunFolder, reason: str) -> None:
        """The request stands in the store; why, is kept here."""
        self._reasons[folder.run_id] = reason

    def discard(self, folder: RunFolder) -> None:
        """Nothing is left of what was never started."""

    def close(self) -> None:
        """Nothing is open."""


def run_inline(
    path_or_files: Given,
    json_args: Mapping[str, Any] | None = None,
    *,
    argv: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    work: str | os.PathLike[str] | None = None,
    client: Client | None = None,
) -> dict[str, Any]:
    """Run an orchestration's `main.py` in this very process, and answer the names that it has defined.

    Breakpoints, coverage, `monkeypatch` and modules that a test has put into `sys.modules` reach the program; its requirements are not
    installed. `in_task()` is true in it, and the current folder is a copy of the bundle: a temporary one, or `work`, a new or empty
    folder that stays. `import wallaroo` finds orchlite's module, on the store of `client`, else on an empty one. Afterwards environment
    variables, `sys.path`, `sys.argv`, imports and the current folder are as before. Not for two threads at once.

    path_or_files: a folder with a `main.py`, a program's path, or the texts of the files by name.

    Raises:
        BadArgument: an argument is refused; nothing ran.
        BadBundle: the program's folder could not be uploaded, either.
        SystemExit: the program's own, with another code than 0. All that a program raises comes out as it is.
    """
    from orchlite.testing import inline as inline_run

    store = None if client is None else client.path()
    return inline_run.run(path_or_files, json_args, argv=argv, env=env, work=work, store=store)


def _checked_outcome(outcome: object) -> tuple[RunStatus, float]:
    status, seconds = outcome if isinstance(outcome, tuple) and len(outcome) == 2 else (outcome, 0)
    if not isinstance(status, str) or status not in _ENDS:
        raise BadArgument(f"status is {status!r:.80}.", hint=f"It takes one of: {', '.join(_ENDS)}.", argument="status")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_SECONDS:
        hint = f"It takes 0 to {_LONGEST_SECONDS:g} seconds."
        raise BadArgument(f"duration_seconds is {seconds!r:.80}.", hint=hint, argument="duration_seconds")
    return RunStatus(status), float(seconds)
