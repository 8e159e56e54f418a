"""The hands of one open store, built and held together: submit, wait, kill, delete, close."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from orchlite.bundles.storage import BundleStorage
from orchlite.core import task_context
from orchlite.core.clock import Clock, ControlledClock
from orchlite.core.errors import Closed, Conflict, DeviceFailed, IllegalMove, WaitTimeout
from orchlite.core.folders import StoreFolder
from orchlite.core.protocols import Process
from orchlite.core.records import OrchestrationRow, RunRow, TaskRow
from orchlite.core.settings import Settings
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.engine import submission
from orchlite.engine.change_watcher import ChangeWatcher
from orchlite.engine.recovery import Recovery
from orchlite.engine.scheduler import Scheduler
from orchlite.engine.submission import TaskRequest
from orchlite.engine.time_travel import TimeTravel
from orchlite.engine.waiting import Waiting
from orchlite.engine.workers import Workers
from orchlite.engine.yielding import WorkerYield
from orchlite.environments.environments import Environments
from orchlite.operations import deletion, execution, kill, liveness, notification, packaging, workdirs
from orchlite.operations.context import Assignment, Context
from orchlite.operations.liveness import HostLock
from orchlite.operations.pause import pause_task, resume_task
from orchlite.operations.upload import Upload, receive
from orchlite.runs.runners import Runners
from orchlite.store.store import Store

_ONE_SHOT = frozenset({TaskKind.ONCE, TaskKind.PACKAGING})
_JOIN_SECONDS = 5.0
_SWEEP_SECONDS = 12.0
_RECORD_SECONDS = 1.0

logging.getLogger("orchlite").addHandler(logging.NullHandler())  # silent, unless the program says otherwise


class Engine:
    """One open store at work. Any thread may use it; nothing runs before the first submission or `start`."""

    def __init__(self, folder: StoreFolder, environments: Environments, clock: Clock, settings: Settings, process: Process | None) -> None:
        """Open the store, creating it as needed, and look after what dead hosts left.

        Raises:
            StoreTooNew, StoreBusy, StoreDamaged: the store cannot be used.
        """
        folder.make()
        store = Store(folder.database, durable=not settings.leash)  # a store on a leash is gone with its host
        own_run = _own_run(folder, store)
        if own_run is None:
            self._host_lock: HostLock | None = HostLock(folder.hosts)
            host_id = self._host_lock.host_id
        else:
            self._host_lock, host_id = None, str(own_run.host_id)
            settings = _as_inside(settings, store, own_run)
        self.context = Context(
            folder=folder,
            store=store,
            bundles=BundleStorage(folder.bundles, durable=not settings.leash),
            environments=environments,
            process=process or Runners(folder.diagnostics),
            clock=clock,
            settings=settings,
            host_id=host_id,
            boot_id=liveness.boot_id(),
            own_run_id=own_run.run_id if own_run else None,
        )
        self._workers = Workers(self.context, self._perform, lambda: workdirs.clean_up(self.context))
        self._scheduler = Scheduler(self.context, self._begin_queued)
        self._watch = ChangeWatcher(self.context, self._workers.are_busy, self._store_changed)
        self._recovery = Recovery(self.context, self._workers.adopted)
        self._worker_yield = WorkerYield(self.context)
        self.waiting = Waiting(self.context, self._begin_queued, self._recovery, self._worker_yield, lambda: self._time_travel.settle())
        self._time_travel = TimeTravel(self.context, self._scheduler, self.waiting)
        self._closing = threading.Lock()
        self._is_closed = False
        self._pid = os.getpid()
        try:
            self._recovery.open()
        except BaseException:
            store.close()
            self._disappear()
            raise
        if isinstance(clock, ControlledClock):
            clock.attach(self._time_travel)

    @property
    def store(self) -> Store:
        """The rows of the store; its files and its other parts are in `context`."""
        return self.context.store

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def is_ours(self) -> bool:
        """Whether this process opened it; False in a forked child."""
        return os.getpid() == self._pid

    def start(self) -> None:
        """Work for the whole store: run what any host has queued.

        Raises:
            Conflict: this process is a run of this store.
        """
        self._check_open()
        if self.context.own_run_id is not None:
            raise Conflict("This program is a run of this store, and starts nothing.", hint="Call start() in the process that hosts it.")
        self._workers.start(whole_store=True)
        self._watch.start()
        self._begin_loop()

    def upload(self, upload: Upload, *, reuse: bool = False) -> OrchestrationRow:
        """Take a bundle in and have it packaged; see `uploads.receive`."""
        self._check_open()
        self.context.refresh_host()
        orchestration = receive(self.context, upload, reuse=reuse)
        self._begin_work()
        self._worker_yield.track(orchestration.orchestration_id)
        self._worker_yield.track(orchestration.task_id)
        self._workers.wake()
        if self.context.stub is not None:
            self.waiting.for_submitted(None, {TaskKind.PACKAGING})  # at once: what follows is the same every time
        return orchestration

    def submit(self, orchestration_id: str, request: TaskRequest) -> TaskRow:
        """Make a task with one run. The run begins now where a worker is free, else in its turn.

        Raises:
            PackagingFailed: the orchestration is in `error`.
        """
        self._check_open()
        self.context.refresh_host()
        self._begin_work()
        task = submission.submit(self.context, self._workers, orchestration_id, request)
        if request.kind is not TaskKind.ONCE:
            self._begin_loop(task.next_at)
        self._time_travel.settle_stubs()
        self._worker_yield.track(task.task_id)
        return task

    def orchestration(self, orchestration_id: str) -> OrchestrationRow:
        """An orchestration as it stands now."""
        orchestration = self.store.orchestrations.get(orchestration_id)
        has_ended = orchestration.status in (OrchestrationStatus.READY, OrchestrationStatus.ERROR)
        self._worker_yield.polled(orchestration_id, has_ended=has_ended)
        return orchestration

    def task(self, task_id: str) -> TaskRow:
        """A task as it stands now."""
        task = self.store.tasks.get(task_id)
        # A one-shot task stays `started`; whether it is over, its run says.
        has_begun = task.kind is not TaskKind.ONCE and task.status is not TaskStatus.PENDING
        self._worker_yield.polled(task_id, has_ended=has_begun or task.status in (TaskStatus.FAILED, TaskStatus.KILLED))
        return task

    def run(self, run_id: str) -> RunRow:
        """A run as it stands now; where nobody is at work on it, after a look at what has become of it."""
        run = self.store.runs.get(run_id)
        self._worker_yield.polled(run.task_id, has_ended=run.status.is_final)
        if run.status is not RunStatus.RUNNING or not self._recovery.is_orphaned(run):
            return run
        self._recovery.recover()
        return self.store.runs.get(run_id)

    def pause(self, task_id: str) -> TaskStatus:
        """Begin no further runs of the task; see `pausing.pause`."""
        self._check_open()
        pause_task(self.context, task_id)
        self._time_travel.settle_stubs()
        return self.store.tasks.get(task_id).status

    def resume(self, task_id: str) -> TaskStatus:
        """Let a paused task run again; see `pausing.resume`."""
        self._check_open()
        status = resume_task(self.context, task_id)
        self._begin_work()
        self._begin_loop()
        return status

    def kill_run(self, run_id: str) -> None:
        """Ask for a run's end; see `killing.kill_run`."""
        self._check_open()
        kill.kill_run(self.context, run_id)
        self._time_travel.settle_stubs()

    def kill_task(self, task_id: str) -> TaskStatus:
        """Ask for no further runs of the task, and for the end of those there are; see `killing.kill_task`."""
        self._check_open()
        status = kill.kill_task(self.context, task_id)
        self._time_travel.settle_stubs()
        return status if self.context.stub is None else self.store.tasks.get(task_id).status

    def delete(self, *orchestration_ids: str, dry_run: bool = False) -> None:
        """Remove orchestrations for good, all of these or none; see `deletion.delete`."""
        self._check_open()
        deletion.delete(self.context, orchestration_ids, dry_run=dry_run)

    def files(self, run_id: str) -> list[Path]:
        """What the run made or changed in its work folder: absolute paths, sorted."""
        from orchlite.bundles import bundle

        run = self.store.runs.get(run_id)
        attempt = workdirs.work_folder(self.context, run)
        if attempt is None:
            return []
        sha = self.store.orchestrations.of_task(run.task_id).sha
        return [attempt.work / path for path in bundle.changed_files(self.context.bundles.path(sha), attempt.work)]

    def close(self, *, drain: bool, patience_seconds: float | None = None) -> None:
        """Let go of the store. With `drain`, first wait for the one-shot runs that were submitted here.

        Idempotent. Without `drain`, and inside a task, it waits for nothing: runs go on under their runners, what is queued stays queued.
        In a forked child it does nothing.

        Raises:
            DeviceFailed: the store failed while it was waited for; it was let go of all the same.
        """
        if self._is_closed or not self.is_ours():
            return
        drain = drain and self.context.own_run_id is None
        if drain:
            try:
                # The runs of a stub end when somebody moves the clock: perhaps never.
                self.waiting.for_submitted(patience_seconds, _ONE_SHOT if self.context.stub is None else {TaskKind.PACKAGING})
            except Closed:
                pass  # somebody else has let go meanwhile
            except DeviceFailed:
                self.close(drain=False)  # what ends there is of no use any more, and nothing that could be waited for
                raise
        with self._closing:
            if self.is_closed:
                return
            self._is_closed = True
        self.context.closed.set()
        self._scheduler.stop()
        self._workers.stop(_JOIN_SECONDS if drain else 0)
        if drain:
            notification.drain(self.context)
            workdirs.clean_up(self.context)
        notification.stop(self.context)
        self.store.close()  # first: that an installer's leash is cut now must not be recorded as the end of its packaging
        self.context.process.close()
        self._disappear()
        with suppress(OSError):
            liveness.remove_dead(self.context.folder.hosts)  # nobody else may come for long
        self.context.changes.announce()

    def kill_all(self, patience_seconds: float | None = None) -> None:
        """Kill every run that this host has submitted and wait for their ends: for the grace and a little more, or as long as is said.

        What is still alive then is killed at once.
        """
        self._scheduler.stop()
        self.request_kills()
        with suppress(WaitTimeout):
            self.waiting.for_submitted(
                self.context.settings.grace_seconds + _SWEEP_SECONDS if patience_seconds is None else patience_seconds
            )
        self._discard(self.unfinished())
        with suppress(WaitTimeout):
            self.waiting.for_submitted(_RECORD_SECONDS)
        self._workers.stop(_RECORD_SECONDS)  # who has just recorded an end may yet have to tell of it
        notification.drain(self.context, notification.LIMIT_SECONDS if patience_seconds is None else _RECORD_SECONDS)

    def _discard(self, runs: Sequence[RunRow]) -> None:
        # All at once: each takes half a second and more, and the interpreter is to exit.
        folders = [self.context.folder.run(run.run_id) for run in runs]
        threads = [threading.Thread(target=self.context.process.discard, args=(folder,), daemon=True) for folder in folders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def request_kills(self) -> None:
        """Ask for the end of every run that this host has submitted, what is queued last first, so that nothing moves up meanwhile."""
        for run in reversed(self.unfinished()):
            with suppress(IllegalMove):
                kill.kill_run(self.context, run.run_id)
        self._time_travel.settle_stubs()

    def unfinished(self) -> list[RunRow]:
        """What this host has submitted and what has not ended, oldest first; inside a task nothing, since all of it is its host's."""
        if self.context.own_run_id is not None:
            return []
        return self.store.runs.unfinished_submitted_by(self.context.host_id)

    def _begin_work(self) -> None:
        """What this host submits, it runs. Inside a task nothing begins: its host does the work."""
        if self.context.own_run_id is None:
            self._workers.start()
            self._watch.start()

    def _begin_queued(self) -> None:
        """Something was queued here, or handed over to this host."""
        self._begin_work()
        self._workers.wake()

    def _begin_loop(self, at: datetime | None = None) -> None:
        """Keep schedules from now on, and look after the runs of hosts that are gone, which may stand in the way of others.

        at: when what is new is due, where that is known.
        """
        if self.context.own_run_id is None:
            self._scheduler.start()
            self._scheduler.wake(at)
            self._recovery.start()

    def _store_changed(self) -> None:
        """After any change of the store, perhaps by others."""
        self._scheduler.wake()
        self._workers.set_blocked(self.store.runs.count_waiting(self.context.host_id))
        self._workers.wake()
        self.context.changes.announce()

    def _disappear(self) -> None:
        if self._host_lock is not None:
            self._host_lock.release()

    def _perform(self, assignment: Assignment) -> None:
        if assignment.task.kind is not TaskKind.PACKAGING:
            execution.execute(self.context, assignment)
        elif self.context.stub is None:
            packaging.package(self.context, assignment)
        else:
            packaging.pretend(self.context, assignment)
            self._time_travel.settle_stubs()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Closed("This client is closed.", hint="Open a new Client on the same store.")
        if not self.is_ours():
            raise Closed("This client was opened by the parent process.", hint="Open a Client of its own in a forked process.")


def _own_run(folder: StoreFolder, store: Store) -> RunRow | None:
    """The run of this very store that this process is, if it is one."""
    run_id = task_context.own_run(str(folder.path))
    return None if run_id is None else store.runs.find(run_id)


def _as_inside(settings: Settings, store: Store, own_run: RunRow) -> Settings:
    """What a run uploads sees the same below its requirements as the run itself, unless it says otherwise."""
    if settings.base_image != Settings().base_image:
        return settings
    return settings._replace(base_image=store.orchestrations.of_task(own_run.task_id).base_image)
