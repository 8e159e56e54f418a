"""An open store: builds its workers, cron loop and recovery, and passes each call (submit, wait, kill, delete, close) to one of them."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from orchlite.core.clock import Clock
from orchlite.core.errors import Closed, Conflict, IllegalMove, WaitTimeout
from orchlite.core.folders import StoreFolder
from orchlite.core.hints import Api, PythonOnly
from orchlite.core.records import OrchestrationRow, RunRow, TaskRow
from orchlite.core.settings import Settings
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.engine import inside, submission
from orchlite.engine.change_watcher import ChangeWatcher
from orchlite.engine.executors import Executor, ProgramExecutor
from orchlite.engine.recovery import Recovery, discard_all
from orchlite.engine.scheduler import Scheduler
from orchlite.engine.stepped import SteppedExecutor, simulation_of
from orchlite.engine.submission import TaskRequest
from orchlite.engine.time_travel import TimeTravel
from orchlite.engine.waiting import Waiting
from orchlite.engine.workers import Workers
from orchlite.engine.yielding import WorkerYield
from orchlite.environments.environments import Environments
from orchlite.operations import copies, deletion, kill, liveness, notification, preparation, trigger, workdirs
from orchlite.operations.context import Context
from orchlite.operations.liveness import HostLock
from orchlite.operations.pause import pause_task, resume_task
from orchlite.operations.replacement import Replacement, replace_task
from orchlite.operations.upload import Upload, receive
from orchlite.runs.protocol import Process
from orchlite.runs.runners import Runners
from orchlite.store.store import Store

if TYPE_CHECKING:
    from orchlite.runs.cluster import Cluster

_ONE_SHOT = frozenset({TaskKind.ONCE, TaskKind.PACKAGING})
_JOIN_SECONDS = 5.0
_SWEEP_SECONDS = 12.0
_RECORD_SECONDS = 1.0

logging.getLogger("orchlite").addHandler(logging.NullHandler())  # silent unless the program configures logging


class Engine:
    """An open store and its threads. Any thread may use it; nothing runs before the first submission or `start`."""

    def __init__(
        self,
        folder: StoreFolder,
        environments: Environments,
        clock: Clock,
        settings: Settings,
        process: Process | None,
        cluster: Cluster | None = None,
    ) -> None:
        """Open the store, creating it if needed, and recover what dead hosts left.

        Raises:
            StoreTooNew, StoreBusy, StoreDamaged, DeviceFailed: the store cannot be used.
            BadArgument: the folder belongs to another account, or is on a network file system.
        """
        folder.make(allow_foreign_owner=settings.allow_foreign_owner)
        # A store on a leash is gone with its host. Whether files are there is asked first: another process may be creating the store.
        may_be_new = not folder.holds_files()
        self.store = Store(folder.database, durable=not settings.leash, may_be_new=may_be_new)
        own_run = inside.own_run(folder, self.store)
        if own_run is None:
            if not settings.leash:
                environments.add_store(folder.path)
            self._host_lock: HostLock | None = HostLock(folder.hosts)
            host_id = self._host_lock.host_id
        else:
            self._host_lock, host_id = None, str(own_run.host_id)
            settings = inside.inherited(settings, self.store, own_run)
            inside.confine(folder, self.store, own_run)
        self.context = Context(
            folder=folder,
            store=self.store,
            environments=environments,
            process=process or Runners(folder.diagnostics),
            cluster=cluster,
            clock=clock,
            settings=settings,
            host_id=host_id,
            boot_id=liveness.boot_id(),
            own_run_id=own_run.run_id if own_run else None,
        )
        simulated = simulation_of(process)
        self._executor: Executor = ProgramExecutor(self.context) if simulated is None else SteppedExecutor(self.context, simulated)
        self._workers = Workers(self.context, self._executor)
        self._scheduler = Scheduler(self.context, self._slots_queued)
        self._watcher = ChangeWatcher(self.context, self._workers.are_busy, self._store_changed, self._check_slots)
        self._recovery = Recovery(self.context, self._workers, simulated=self._executor.is_stepped)
        self._worker_yield = WorkerYield(self.context)
        self.waiting = Waiting(self.context, self._execute_queued, self._recovery, self._worker_yield, self._executor)
        self._closing = threading.Lock()
        self._is_closed = False
        self._pid = os.getpid()
        self._recover()
        if self.context.controlled_clock is not None:
            self.context.controlled_clock.attach(TimeTravel(self.context, self._scheduler, self._executor, self.waiting))

    def _recover(self) -> None:
        context = self.context
        try:
            if context.own_run_id is None and not context.settings.leash and copies.settle_identity(context):
                self._scheduler.hold()
            self._recovery.open()
        except BaseException:
            self.store.close()
            self._release_lock()
            raise

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def is_ours(self) -> bool:
        """Return whether this process opened it; False in a forked child."""
        return os.getpid() == self._pid

    def start(self, *, adopt_copy: bool = False) -> None:
        """Serve the whole store: execute what any host has queued, and keep its schedules.

        The schedules of a copied store wait until one host has started with `adopt_copy`.

        Raises:
            Conflict: this process is a run of this store.
            Closed: the engine was closed, or belongs to the parent process.
        """
        self._check_open()
        if self.context.own_run_id is not None:
            raise Conflict(
                "This program is a run of this store, and starts nothing.", hint=Api.START + " belongs in the process that hosts it."
            )
        if adopt_copy:
            copies.adopt(self.context)
            self._scheduler.release()
        self.context.serves_store = True
        self._workers.start(whole_store=True)
        self._watcher.start()
        self._keep_schedules()
        self._scheduler.wake()

    def upload(self, upload: Upload, *, reuse: bool = False) -> OrchestrationRow:
        """Store a bundle, and package it or queue that; see `operations.upload.receive`."""
        self._check_open()
        self.context.refresh_host()
        self._start_workers()
        orchestration = receive(self.context, upload, reuse=reuse, at_once=not self._executor.is_stepped)
        self._worker_yield.track(orchestration.orchestration_id, orchestration.task_id)
        if orchestration.status is OrchestrationStatus.PENDING_PACKAGING:
            self._workers.wake()
        if self._executor.is_stepped:
            self.waiting.for_submitted(None, {TaskKind.PACKAGING})  # at once, so that the same steps produce the same rows
        return orchestration

    def submit(self, orchestration_id: str, request: TaskRequest) -> TaskRow:
        """Create a task. Its run starts now if a worker is free, else in its turn; see `submission.submit`."""
        self._check_open()
        self.context.refresh_host()
        self._start_workers()
        if request.kind is not TaskKind.ONCE:
            self._check_keeps_schedules()
            self._keep_schedules()  # before: if no thread can be started, nothing was stored
        task = submission.submit(self.context, self._workers, orchestration_id, request)
        if request.kind is not TaskKind.ONCE:
            self._scheduler.wake(task.next_at)
        self._submitted(task.task_id)
        return task

    def rerun(self, run_id: str, arguments: str | None = None) -> TaskRow:
        """Submit a one-shot task that repeats a run; see `submission.rerun`."""
        self._check_open()
        self.context.refresh_host()
        self._start_workers()
        task = submission.rerun(self.context, self._workers, run_id, arguments)
        self._submitted(task.task_id)
        return task

    def poll_orchestration(self, orchestration_id: str) -> OrchestrationRow:
        """Return an orchestration as it is now. Inside a task this may write that the run waits for it."""
        orchestration = self.store.orchestrations.get(orchestration_id)
        has_ended = orchestration.status in (OrchestrationStatus.READY, OrchestrationStatus.ERROR)
        self._worker_yield.polled(orchestration_id, has_ended=has_ended)
        return orchestration

    def poll_task(self, task_id: str) -> TaskRow:
        """Return a task as it is now. Inside a task this may write that the run waits for it."""
        task = self.store.tasks.get(task_id)
        self._worker_yield.polled_task(task)
        return task

    def poll_run(self, run_id: str) -> RunRow:
        """Return a run as it is now. If it is orphaned, recover it first.

        Inside a task this may write that the run waits for it.
        """
        run = self.store.runs.get(run_id)
        self._worker_yield.polled(run.task_id, has_ended=run.status.is_final)
        if run.status is not RunStatus.RUNNING or not self._recovery.is_orphaned(run):
            return run
        self._recovery.recover()
        return self.store.runs.get(run_id)

    def pause(self, task_id: str) -> TaskStatus:
        """Start no further runs of the task; see `operations.pause`."""
        self._check_open()
        pause_task(self.context, task_id)
        self._executor.settle()
        return self.store.tasks.get(task_id).status

    def resume(self, task_id: str) -> TaskStatus:
        """Run a paused task again; see `operations.pause`."""
        self._check_open()
        status = resume_task(self.context, task_id)
        self._execute_queued()  # a try may have waited for this
        self._keep_schedules()
        self._scheduler.wake()
        self._executor.settle()
        return status

    def trigger(self, task_id: str) -> str:
        """Run a scheduled task outside its slots, and return the id of the run; see `operations.trigger`."""
        self._check_open()
        self.context.refresh_host()
        self._start_workers()
        run_id = trigger.trigger(self.context, task_id)
        self._workers.wake()
        self._submitted(task_id)
        return run_id

    def replace(self, task_id: str, replacement: Replacement) -> None:
        """Have the task's next runs run something else; see `operations.replacement`."""
        self._check_open()
        replace_task(self.context, task_id, replacement)
        self._execute_queued()
        self._keep_schedules()
        self._scheduler.wake()
        self._executor.settle()

    def kill_run(self, run_id: str) -> None:
        """Request a run's end; see `operations.kill`."""
        self._check_open()
        kill.kill_run(self.context, run_id)
        self._executor.settle()

    def kill_task(self, task_id: str) -> TaskStatus:
        """Request the end of the task's runs, and start no more; see `operations.kill`."""
        self._check_open()
        status = kill.kill_task(self.context, task_id)
        self._executor.settle()
        return self.store.tasks.get(task_id).status if self._executor.is_stepped else status

    def delete(self, *orchestration_ids: str, dry_run: bool = False) -> None:
        """Delete all of these orchestrations or none; see `operations.deletion`."""
        self._check_open()
        deletion.delete(self.context, orchestration_ids, dry_run=dry_run)

    def close(self, *, drain: bool) -> None:
        """Close the store. With `drain`, first wait for the one-shot runs that were submitted here.

        Idempotent. Without `drain`, and inside a task, it waits for nothing: runs continue under their runners, and the queue stays. In a
        forked child it does nothing.

        Raises:
            DeviceFailed: the store failed while waiting; it was closed anyway, as after an interrupt.
        """
        if self._is_closed or not self.is_ours():
            return
        drain = drain and self.context.own_run_id is None
        if drain:
            try:
                # Stepped runs end when a caller moves the clock: perhaps never.
                self.waiting.for_submitted(None, {TaskKind.PACKAGING} if self._executor.is_stepped else _ONE_SHOT)
            except Closed:
                pass  # another thread has closed it meanwhile
            except BaseException:  # an interrupt, or a store that failed: there is nothing more to wait for
                self.close(drain=False)
                raise
        with self._closing:
            if self.is_closed:
                return
            self._is_closed = True
        self.context.closed.set()
        self._scheduler.stop()
        with ExitStack() as steps:  # last entered first; each runs even if an earlier one fails
            steps.callback(self.context.changes.announce)
            steps.callback(self._remove_dead_hosts)
            steps.callback(self._release_lock)
            steps.callback(self.context.process.close)
            if self.context.cluster is not None:
                steps.callback(self.context.cluster.close)
            steps.callback(preparation.close, self.context)
            # Before the process: that cuts an installer's leash, which must not be recorded as the outcome of its packaging.
            steps.callback(self.store.close)
            steps.callback(self.context.notifier.stop)
            self._workers.stop(_JOIN_SECONDS if drain else 0)
            if drain:
                self.context.notifier.drain(notification.LIMIT_SECONDS)
                workdirs.clean_up(self.context)

    def kill_all(self, timeout_seconds: float | None = None) -> None:
        """Kill every run that this host has submitted. Block for the grace plus 12 s, or `timeout_seconds`, then send SIGKILL."""
        self._scheduler.stop()
        if self.unfinished():
            self.request_kills()
            grace_seconds = self.context.settings.grace_seconds + _SWEEP_SECONDS
            with suppress(WaitTimeout):
                self.waiting.for_submitted(grace_seconds if timeout_seconds is None else timeout_seconds)
            discard_all(self.context, self.unfinished())
            with suppress(WaitTimeout):
                self.waiting.for_submitted(_RECORD_SECONDS)
        self._workers.stop(_RECORD_SECONDS)  # a thread that has just recorded an outcome may have to send its notification
        self.context.notifier.drain(notification.LIMIT_SECONDS if timeout_seconds is None else _RECORD_SECONDS)

    def request_kills(self) -> None:
        """Request the end of every run that this host has submitted, the last queued first, so that no queued run starts meanwhile."""
        for run in reversed(self.unfinished()):
            with suppress(IllegalMove):
                kill.kill_run(self.context, run.run_id)
        self._executor.settle()

    def unfinished(self) -> list[RunRow]:
        """Return the unfinished runs that this host has submitted, oldest first; none inside a task, whose host owns them."""
        if self.context.own_run_id is not None:
            return []
        return self.store.runs.unfinished_submitted_by(self.context.host_id)

    def _start_workers(self) -> None:
        """Execute what this host submits. Does nothing inside a task: its host does the work."""
        if self.context.own_run_id is None:
            self._workers.start()
            self._watcher.start()

    def _execute_queued(self) -> None:
        """Execute queued runs, including those that another process queued for this host."""
        self._start_workers()
        self._workers.wake()

    def _check_keeps_schedules(self) -> None:
        if self._scheduler.is_held:
            raise Conflict(
                f"The store {self.context.folder.path} is a copy, whose schedules wait until it is adopted.",
                hint="Adopt it with " + Api.START_ADOPTING + ", unless the original keeps the same schedules.",
            )

    def _submitted(self, task_id: str) -> None:
        self._executor.settle()
        self._worker_yield.track(task_id)

    def _slots_queued(self) -> None:
        """Have workers execute the runs of slots; stepped runs start when the clock's caller settles."""
        if not self._executor.is_stepped:
            self._execute_queued()

    def _keep_schedules(self) -> None:
        """Keep schedules, and recover the runs of dead hosts, which may block others. Does nothing inside a task."""
        if self.context.own_run_id is None:
            self._scheduler.start()
            self._recovery.start()

    def _store_changed(self) -> None:
        """React to a change of the store, by this host or another one."""
        self._scheduler.wake()
        self._count_waiting()
        self._workers.wake()
        self.context.changes.announce()

    def _count_waiting(self) -> None:
        self._workers.set_blocked(self.store.waits.count(self.context.host_id, self.context.clock.monotonic()))

    def _check_slots(self) -> None:
        """Do what no change of the store signals: take back the slots of runs whose wait has lapsed, and start threads that are missing."""
        if self._workers.has_yielded():
            self._count_waiting()
        self._workers.start_missing()

    def _remove_dead_hosts(self) -> None:
        with suppress(OSError):
            liveness.remove_dead(self.context.folder.hosts)  # it may be long before another host comes

    def _release_lock(self) -> None:
        if self._host_lock is not None:
            self._host_lock.release()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Closed("This client is closed.", hint=PythonOnly("Open a new Client on the same store."))
        if not self.is_ours():
            raise Closed("This client was opened by the parent process.", hint=PythonOnly("Open a Client of its own in a forked process."))
        self.store.check_changeable()
