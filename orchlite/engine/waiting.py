"""Waiting for runs and packaging to end, and seeing to it that somebody is at work on what is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TypeVar

from orchlite.core.clock import ControlledClock
from orchlite.core.errors import Conflict, WaitTimeout
from orchlite.core.records import OrchestrationRow, RunRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.engine.recovery import Recovery
from orchlite.engine.yielding import WorkerYield
from orchlite.operations import liveness
from orchlite.operations.context import Context
from orchlite.operations.packaging import packaging_failed

_OTHERS_SECONDS = 0.5
_INSIDE_SECONDS = 0.05
T = TypeVar("T")


class Waiting:
    """The waits of one open store. Changes of this host wake them; those of others are noticed within half a second."""

    def __init__(
        self, context: Context, begin: Callable[[], None], lookout: Recovery, lending: WorkerYield, settle: Callable[[], None]
    ) -> None:
        """`begin` has this host work on what is queued for it; inside a task it does nothing.

        `settle` lets go on what can, where time only passes when somebody says so.
        """
        self._context = context
        self._settle = settle
        self._begin = begin
        self._recovery = lookout
        self._look_seconds = _OTHERS_SECONDS if context.own_run_id is None else _INSIDE_SECONDS  # all is done by others there
        self._worker_yield = lending

    def for_run(self, run_id: str, timeout_seconds: float | None) -> RunRow:
        """Block until the run has ended.

        Raises:
            WaitTimeout: it has not; it goes on.
            Conflict: this program is that run; or time would have to pass, on a clock that only this thread moves.
        """
        if run_id == self._context.own_run_id:
            raise Conflict(f"Run {run_id} is this program, which cannot wait for its own end.", run_id=run_id)
        runs = self._context.store.runs
        ended = self._until(
            lambda: run if (run := runs.get(run_id)).status.is_final else None,
            lambda: self._see_to(run_id, lambda run: run.status.is_final),
            timeout_seconds,
            f"run {run_id} to end",
            run_id,
        )
        self._worker_yield.polled(ended.task_id, has_ended=True)
        return ended

    def for_start(self, run_id: str) -> RunRow:
        """Block until the run has left the queue: until it runs, or has ended."""
        runs = self._context.store.runs
        return self._until(
            lambda: run if (run := runs.get(run_id)).status is not RunStatus.QUEUED else None,
            lambda: self._see_to(run_id, lambda run: run.status is not RunStatus.QUEUED),
            None,
            f"run {run_id} to start",
            run_id,
        )

    def for_newest_run(self, task_id: str, timeout_seconds: float | None) -> RunRow:
        """Block until the task's newest unfinished run, else its newest, has ended; until the first, where there is none yet.

        Raises:
            WaitTimeout: it has not ended, or there is none yet.
            Conflict: there is none, and never will be, or not before somebody moves the clock.
            PackagingFailed: there is none, for that reason.
        """
        runs = self._context.store.runs
        run = self._until(
            lambda: runs.newest_to_wait_for(task_id),
            lambda: self._check_may_run(task_id),
            timeout_seconds,
            f"task {task_id} to have a run",
        )
        return self.for_run(run.run_id, timeout_seconds)

    def for_packaging(self, orchestration_id: str, timeout_seconds: float | None) -> OrchestrationRow:
        """Block until the orchestration is ready.

        Raises:
            PackagingFailed: it cannot be made ready.
            WaitTimeout: it is not ready yet.
        """
        orchestrations = self._context.store.orchestrations

        def packaged() -> OrchestrationRow | None:
            orchestration = orchestrations.get(orchestration_id)
            return orchestration if orchestration.status in (OrchestrationStatus.READY, OrchestrationStatus.ERROR) else None

        def look_after() -> None:
            self._look_after_packaging(orchestrations.get(orchestration_id))

        orchestration = self._until(packaged, look_after, timeout_seconds, f"orchestration {orchestration_id} to be packaged")
        self._worker_yield.polled(orchestration_id, has_ended=True)
        self._worker_yield.polled(orchestration.task_id, has_ended=True)
        if orchestration.status is OrchestrationStatus.ERROR:
            raise packaging_failed(orchestration)
        return orchestration

    def for_submitted(self, timeout_seconds: float | None, kinds: Collection[TaskKind] = frozenset(TaskKind)) -> None:
        """Block until everything that this host submitted has ended: the runs of these kinds of tasks."""

        def unfinished() -> list[RunRow]:
            return self._context.store.runs.unfinished_submitted_by(self._context.host_id, kinds)

        def look_after() -> None:
            for run in unfinished():
                self._look_after(run)

        self._until(lambda: None if unfinished() else True, look_after, timeout_seconds, "the submitted runs to end")

    def _until(
        self,
        look: Callable[[], T | None],
        look_after: Callable[[], None],
        timeout_seconds: float | None,
        what: str,
        run_id: str | None = None,
    ) -> T:
        """Block until `look` answers, and now and then `look_after` what should change that: only this run, where one is given."""
        if (answer := look()) is not None:  # before anything else: in a forked child it says that this client is not its own
            return answer
        with self._context.changes.heard(run_id) as change:
            if (answer := look()) is not None:
                return answer
            with self._worker_yield.while_waiting():
                return self._keep_looking(change, look, look_after, timeout_seconds, what)

    def _keep_looking(
        self,
        change: threading.Event,
        look: Callable[[], T | None],
        look_after: Callable[[], None],
        timeout_seconds: float | None,
        what: str,
    ) -> T:
        clock = self._context.clock
        look_after_at = clock.monotonic() + _OTHERS_SECONDS
        deadline = None if timeout_seconds is None else clock.monotonic() + timeout_seconds
        while True:
            left = self._look_seconds if deadline is None else min(self._look_seconds, deadline - clock.monotonic())
            if left <= 0:
                raise WaitTimeout(f"Waited {timeout_seconds:g} s for {what}.", hint="Nothing was killed; wait again, or kill it.")
            change.wait(left)
            change.clear()  # before the look: what changes during it is not missed
            if clock.monotonic() >= look_after_at:  # by the time, since a busy host may change something else all the while
                self._worker_yield.refresh()
                look_after()
                look_after_at = clock.monotonic() + _OTHERS_SECONDS
            if (answer := look()) is not None:
                return answer

    def _check_may_run(self, task_id: str) -> None:
        """Whether a task that has had no run may have one yet."""
        task = self._context.store.tasks.get(task_id)  # NotFound: it was deleted or pruned, and will never have a run
        if task.status is TaskStatus.FAILED:
            raise packaging_failed(self._context.store.orchestrations.get(task.orchestration_id))
        if task.status is TaskStatus.KILLED:
            raise Conflict(f"Task {task_id} was killed and has never had a run.", task_id=task_id)
        if task.status is not TaskStatus.PENDING and self._is_for_this_thread_to_move_time():
            self._check_goes_on(self._context.store.runs.newest_to_wait_for(task_id) is not None, f"Task {task_id} has no run")

    def _is_for_this_thread_to_move_time(self) -> bool:
        clock = self._context.clock
        return isinstance(clock, ControlledClock) and not clock.may_be_moved_elsewhere()

    @staticmethod
    def _check_goes_on(has_come: bool, what: str) -> None:
        if not has_come:
            raise Conflict(f"{what}, and time does not pass by itself.", hint="Advance the clock, then wait.")

    def _see_to(self, run_id: str, is_over: Callable[[RunRow], bool]) -> None:
        """Look after a run; where it is a stub's, let it go on, and see whether it does."""
        if self._context.stub is not None and self._is_for_this_thread_to_move_time():
            self._settle()
            run = self._context.store.runs.get(run_id)
            self._check_goes_on(is_over(run), f"Run {run_id} is {run.status}")
        self._look_after(self._context.store.runs.get(run_id))

    def _look_after(self, run: RunRow) -> None:
        """Where nobody is at work on a run: import, adopt, or take over what its host left in the queue, since somebody waits for it here.

        Inside a task nothing of that happens here; but what is queued is handed over to the host of this program, which is at work.
        """
        self._context.refresh_host()
        if run.status is RunStatus.RUNNING and self._recovery.is_orphaned(run):
            self._recovery.recover()
        elif run.status is RunStatus.RUNNING and run.host_id == self._context.host_id and self._context.store.runs.is_waiting(run.run_id):
            self._begin()  # it was adopted, perhaps by a host that had nothing to do until now, and waits for what is queued for that
        elif run.status is RunStatus.QUEUED:
            task = self._context.store.tasks.get(run.task_id)
            self._take_over(run)
            orchestration = self._context.store.orchestrations.get(task.orchestration_id)
            if orchestration.task_id != task.task_id:
                self._look_after_packaging(orchestration)

    def _look_after_packaging(self, orchestration: OrchestrationRow) -> None:
        if orchestration.status in (OrchestrationStatus.PENDING_PACKAGING, OrchestrationStatus.PACKAGING):
            for run in self._context.store.runs.of_task(orchestration.task_id, 1):
                self._look_after(run)

    def _take_over(self, run: RunRow) -> None:
        if self._is_gone(run.submitted_by):
            with self._context.store.transaction() as transaction:
                self._context.store.runs.hand_over(transaction, run.task_id, self._context.host_id)
            self._begin()

    def _is_gone(self, host_id: str | None) -> bool:
        return host_id is not None and host_id != self._context.host_id and not liveness.is_alive(self._context.folder.hosts, host_id)
