"""Waits for runs and packaging to end, and makes sure that a host handles them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from orchlite.core.errors import Conflict, WaitTimeout
from orchlite.core.records import OrchestrationRow, RunRow
from orchlite.core.status import FAILED, OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.engine.executors import Executor
from orchlite.engine.recovery import Recovery
from orchlite.engine.yielding import WorkerYield
from orchlite.operations import liveness
from orchlite.operations.context import Change, Context
from orchlite.operations.packaging import packaging_failed

_POLL_SECONDS = 0.5
_POLL_INSIDE_SECONDS = 0.05
T = TypeVar("T")


class Waiting:
    """The waits on one open store. Changes by this host wake them at once; those by other hosts are noticed within 0.5 s."""

    def __init__(
        self, context: Context, execute_queued: Callable[[], None], recovery: Recovery, worker_yield: WorkerYield, executor: Executor
    ) -> None:
        """`execute_queued` has this host execute what is queued for it; inside a task it does nothing."""
        self._context = context
        self._execute_queued = execute_queued
        self._recovery = recovery
        self._worker_yield = worker_yield
        self._executor = executor
        self._poll_seconds = _POLL_SECONDS if context.own_run_id is None else _POLL_INSIDE_SECONDS  # there, all changes are by others

    def for_run(self, run_id: str, timeout_seconds: float | None, seen: int | None = None) -> RunRow:
        """Block until the run has ended.

        seen: how many changes were announced before the run was read, and had not ended.

        Raises:
            WaitTimeout: it has not ended; nothing was killed.
            Conflict: this program is that run; or the run cannot end before this thread moves the clock.
        """
        if run_id == self._context.own_run_id:
            raise Conflict(f"Run {run_id} is this program, which cannot wait for its own end.", run_id=run_id)
        runs = self._context.store.runs
        ended = self._until(
            lambda change: change.ended or (run if (run := runs.get(run_id)).status.is_final else None),
            lambda: self._ensure_progress(run_id, lambda run: run.status.is_final),
            timeout_seconds,
            f"run {run_id} to end",
            run_id,
            seen,
        )
        self._worker_yield.polled(ended.task_id, has_ended=True)
        return ended

    def for_start(self, run_id: str) -> RunRow:
        """Block until the run has left the queue: it is running, or has ended."""
        runs = self._context.store.runs
        return self._until(
            lambda _: run if (run := runs.get(run_id)).status is not RunStatus.QUEUED else None,
            lambda: self._ensure_progress(run_id, lambda run: run.status is not RunStatus.QUEUED),
            None,
            f"run {run_id} to start",
            run_id,
        )

    def for_newest_run(self, task_id: str, timeout_seconds: float | None) -> RunRow:
        """Block until the task's newest unfinished run, else its newest run, has ended. If it has none yet, wait for the first.

        Raises:
            WaitTimeout: it has not ended, or there is none yet.
            Conflict: there is none, and never will be, or not before this thread moves the clock.
            PackagingFailed: there is none, because packaging failed.
        """
        runs, seen = self._context.store.runs, self._context.changes.announced
        run = self._until(
            lambda _: runs.newest_to_wait_for(task_id),
            lambda: self._check_may_run(task_id),
            timeout_seconds,
            f"task {task_id} to have a run",
        )
        return self.for_last_try(run.run_id, timeout_seconds, None if run.status.is_final else seen)

    def for_last_try(self, run_id: str, timeout_seconds: float | None, seen: int | None = None) -> RunRow:
        """Block until the run, and every try that follows it, has ended. Return the last of them. `seen`: as for `for_run`.

        Raises:
            WaitTimeout, Conflict: as `for_run`.
        """
        clock, began_at = self._context.clock, self._context.clock.monotonic()
        ended = self.for_run(run_id, timeout_seconds, seen)
        while ended.status in FAILED and (next_id := self._context.store.tries.after(ended.run_id)) is not None:
            left = None if timeout_seconds is None else max(0.0, began_at + timeout_seconds - clock.monotonic())
            ended = self.for_run(next_id, left)
        return ended

    def for_packaging(self, orchestration_id: str, timeout_seconds: float | None) -> OrchestrationRow:
        """Block until the orchestration is ready.

        Raises:
            PackagingFailed: packaging failed.
            WaitTimeout: it is not ready yet.
        """
        orchestrations = self._context.store.orchestrations

        def packaged(_: Change) -> OrchestrationRow | None:
            orchestration = orchestrations.get(orchestration_id)
            return orchestration if orchestration.status in (OrchestrationStatus.READY, OrchestrationStatus.ERROR) else None

        def ensure_progress() -> None:
            self._ensure_packaging(orchestrations.get(orchestration_id))

        orchestration = self._until(packaged, ensure_progress, timeout_seconds, f"orchestration {orchestration_id} to be packaged")
        self._worker_yield.polled(orchestration_id, has_ended=True)
        self._worker_yield.polled(orchestration.task_id, has_ended=True)
        if orchestration.status is OrchestrationStatus.ERROR:
            raise packaging_failed(orchestration)
        return orchestration

    def for_submitted(self, timeout_seconds: float | None, kinds: Collection[TaskKind] = frozenset(TaskKind)) -> None:
        """Block until all runs that this host submitted, of tasks of these kinds, have ended.

        Pending tries that wait for a `resume`, or for the clock to be moved, are left out.

        Raises:
            WaitTimeout: some have not ended.
        """

        def unfinished() -> list[RunRow]:
            runs = self._context.store.runs.unfinished_submitted_by(self._context.host_id, kinds)
            return [run for run in runs if not (run.is_pending_try and self._is_held(run))]

        def ensure_progress() -> None:
            for run in unfinished():
                self._ensure_executed(run)

        self._until(lambda _: None if unfinished() else True, ensure_progress, timeout_seconds, "the submitted runs to end")

    def _until(
        self,
        poll: Callable[[Change], T | None],
        ensure_progress: Callable[[], None],
        timeout_seconds: float | None,
        what: str,
        run_id: str | None = None,
        seen: int | None = None,
    ) -> T:
        """Block until `poll` returns a value. Call `ensure_progress` every 0.5 s. With `run_id`, only this run's changes matter.

        seen: after how many announced changes there was no value yet.
        """
        self._context.store.check_usable()  # before anything else: a forked child must not wait for the locks of its parent's threads
        with self._context.changes.subscribed(run_id) as change:
            if self._context.changes.announced != seen and (result := poll(change)) is not None:
                return result
            with self._worker_yield.while_waiting():
                return self._poll_until(change, poll, ensure_progress, timeout_seconds, what)

    def _poll_until(
        self,
        change: Change,
        poll: Callable[[Change], T | None],
        ensure_progress: Callable[[], None],
        timeout_seconds: float | None,
        what: str,
    ) -> T:
        clock = self._context.clock
        ensure_at = clock.monotonic() + _POLL_SECONDS
        deadline = None if timeout_seconds is None else clock.monotonic() + timeout_seconds
        while True:
            left = self._poll_seconds if deadline is None else min(self._poll_seconds, deadline - clock.monotonic())
            if left <= 0:
                raise WaitTimeout(f"Waited {timeout_seconds:g} s for {what}.", hint="Nothing was killed; wait again, or kill it.")
            change.wait(left)
            if clock.monotonic() >= ensure_at:  # by time, not by wake-ups: a busy host may announce changes all the while
                self._worker_yield.refresh()
                ensure_progress()
                ensure_at = clock.monotonic() + _POLL_SECONDS
            if (result := poll(change)) is not None:
                return result

    def _check_may_run(self, task_id: str) -> None:
        """Raise if a task that has no run will have none, or none before this thread moves the clock."""
        task = self._context.store.tasks.get(task_id)  # NotFound: it was deleted or pruned, and will never have a run
        if task.status is TaskStatus.FAILED:
            raise packaging_failed(self._context.store.orchestrations.get(task.orchestration_id))
        if task.status is TaskStatus.KILLED:
            raise Conflict(f"Task {task_id} was killed and has never had a run.", task_id=task_id)
        if task.status is not TaskStatus.PENDING and self._only_this_thread_moves_the_clock():
            self._check_progress(self._context.store.runs.newest_to_wait_for(task_id) is not None, f"Task {task_id} has no run")

    def _is_held(self, run: RunRow) -> bool:
        """Return whether a pending try cannot start unless a caller resumes its task or moves the clock."""
        if self._context.controlled_clock is not None and run.not_before_at is not None and run.not_before_at > self._context.clock.now():
            return True
        return self._context.store.tasks.get(run.task_id).status is TaskStatus.PAUSED

    def _only_this_thread_moves_the_clock(self) -> bool:
        clock = self._context.controlled_clock
        return clock is not None and not clock.may_be_moved_elsewhere()

    @staticmethod
    def _check_progress(has_happened: bool, what: str) -> None:
        if not has_happened:
            raise Conflict(f"{what}, and time does not pass by itself.", hint="Advance the clock, then wait.")

    def _ensure_progress(self, run_id: str, has_happened: Callable[[RunRow], bool]) -> None:
        """Make sure that a host executes the run. A stepped run that only this thread can advance is advanced, and must have changed."""
        run = self._context.store.runs.get(run_id)
        if run.is_pending_try and self._is_held(run) and self._only_this_thread_moves_the_clock():
            self._check_progress(False, f"Run {run_id} is a try that has not started")
        if self._executor.is_stepped and self._only_this_thread_moves_the_clock():
            self.for_submitted(None, {TaskKind.PACKAGING})
            self._executor.adopt()
            self._executor.settle()
            self._executor.raise_errors()
            run = self._context.store.runs.get(run_id)
            self._check_progress(has_happened(run), f"Run {run_id} is {run.status}")
        self._ensure_executed(self._context.store.runs.get(run_id))

    def _ensure_executed(self, run: RunRow) -> None:
        """If no host handles the run, import its result, adopt it, or take it over if it is queued.

        Inside a task, hosts recover running runs; a queued run is transferred to the host that executes this program.
        """
        context = self._context
        context.refresh_host()
        if run.status is RunStatus.RUNNING and self._recovery.is_orphaned(run):
            self._recovery.recover()
        elif run.status is RunStatus.RUNNING and run.host_id == context.host_id:
            if context.store.waits.until(run.run_id) > context.clock.monotonic():
                self._execute_queued()  # this host may have adopted it with nothing else to do, and the run waits for what is queued
        elif run.status is RunStatus.QUEUED:
            task = context.store.tasks.get(run.task_id)
            self._take_over(run)
            orchestration = context.store.orchestrations.get(task.orchestration_id)
            if orchestration.task_id != task.task_id:
                self._ensure_packaging(orchestration)

    def _ensure_packaging(self, orchestration: OrchestrationRow) -> None:
        if orchestration.status in (OrchestrationStatus.PENDING_PACKAGING, OrchestrationStatus.PACKAGING):
            for run in self._context.store.runs.of_task(orchestration.task_id, 1):
                self._ensure_executed(run)

    def _take_over(self, run: RunRow) -> None:
        if self._is_dead(run.submitted_by):
            with self._context.store.transaction() as transaction:
                self._context.store.runs.hand_over(transaction, run.task_id, self._context.host_id)
            self._execute_queued()

    def _is_dead(self, host_id: str | None) -> bool:
        return host_id is not None and host_id != self._context.host_id and not liveness.is_alive(self._context.folder.hosts, host_id)
