"""The hands of one open store, built and held together: submit, wait, kill, delete, close."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from orchlite.bundles.storage import BundleFiles
from orchlite.core import task_context
from orchlite.core.errors import Closed, Conflict, DeviceFailed, IllegalMove, WaitTimeout
from orchlite.core.folders import StoreFolder
from orchlite.core.protocols import Clock, Process, SteeredClock
from orchlite.core.records import Assignment, OrchestrationRow, RunRow, Settings, TaskRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.engine import submission as submissions
from orchlite.engine.change_watcher import Watch
from orchlite.engine.recovery import Lookout
from orchlite.engine.scheduler import Scheduler
from orchlite.engine.submission import Order
from orchlite.engine.time_travel import TimeTravel
from orchlite.engine.waiting import Waiting
from orchlite.engine.workers import Workers
from orchlite.engine.yielding import Lending
from orchlite.environments.environments import Environments
from orchlite.operations import deletion
from orchlite.operations import execution as one_run
from orchlite.operations import kill as killing
from orchlite.operations import liveness as presence
from orchlite.operations import notification as telling
from orchlite.operations import packaging as packager
from orchlite.operations import pause as pausing
from orchlite.operations import upload as uploads
from orchlite.operations import workdirs as tidying
from orchlite.operations.context import OpenStore
from orchlite.operations.liveness import Presence
from orchlite.operations.upload import Upload
from orchlite.runs.runners import Runners
from orchlite.store.memory import Memory

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
        memory = Memory(folder.database, durable=not settings.leash)  # a store on a leash is gone with its host
        own_run = _own_run(folder, memory)
        if own_run is None:
            self._presence: Presence | None = Presence(folder.hosts)
            host_id = self._presence.host_id
        else:
            self._presence, host_id = None, str(own_run.host_id)
            settings = _as_inside(settings, memory, own_run)
        self.store = OpenStore(
            folder=folder,
            memory=memory,
            bundles=BundleFiles(folder.bundles, durable=not settings.leash),
            environments=environments,
            process=process or Runners(folder.diagnostics),
            clock=clock,
            settings=settings,
            host_id=host_id,
            boot_id=presence.boot_id(),
            own_run_id=own_run.run_id if own_run else None,
        )
        self._workers = Workers(self.store, self._perform, lambda: tidying.tidy(self.store))
        self._scheduler = Scheduler(self.store, self._begin_queued)
        self._watch = Watch(self.store, self._workers.are_busy, self._look)
        self._lookout = Lookout(self.store, self._workers.adopted)
        self._lending = Lending(self.store)
        self.waiting = Waiting(self.store, self._begin_queued, self._lookout, self._lending, lambda: self._time_travel.settle())
        self._time_travel = TimeTravel(self.store, self._scheduler, self.waiting)
        self._closing = threading.Lock()
        self._is_closed = False
        self._pid = os.getpid()
        try:
            self._lookout.open()
        except BaseException:
            memory.close()
            self._disappear()
            raise
        if isinstance(clock, SteeredClock):
            clock.attach(self._time_travel)

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
        if self.store.own_run_id is not None:
            raise Conflict("This program is a run of this store, and starts nothing.", hint="Call start() in the process that hosts it.")
        self._workers.start(whole_store=True)
        self._watch.start()
        self._begin_loop()

    def upload(self, upload: Upload, *, reuse: bool = False) -> OrchestrationRow:
        """Take a bundle in and have it packaged; see `uploads.receive`."""
        self._check_open()
        self.store.find_host()
        orchestration = uploads.receive(self.store, upload, reuse=reuse)
        self._begin_work()
        self._lending.submitted(orchestration.orchestration_id)
        self._lending.submitted(orchestration.task_id)
        self._workers.look()
        if self.store.stub is not None:
            self.waiting.for_submitted(None, {TaskKind.PACKAGING})  # at once: what follows is the same every time
        return orchestration

    def submit(self, orchestration_id: str, order: Order) -> TaskRow:
        """Make a task with one run. The run begins now where a worker is free, else in its turn.

        Raises:
            PackagingFailed: the orchestration is in `error`.
        """
        self._check_open()
        self.store.find_host()
        self._begin_work()
        task = submissions.submit(self.store, self._workers, orchestration_id, order)
        if order.kind is not TaskKind.ONCE:
            self._begin_loop(task.next_at)
        self._time_travel.settle_stubs()
        self._lending.submitted(task.task_id)
        return task

    def orchestration(self, orchestration_id: str) -> OrchestrationRow:
        """An orchestration as it stands now."""
        orchestration = self.store.memory.orchestrations.get(orchestration_id)
        is_over = orchestration.status in (OrchestrationStatus.READY, OrchestrationStatus.ERROR)
        self._lending.asked(orchestration_id, is_over=is_over)
        return orchestration

    def task(self, task_id: str) -> TaskRow:
        """A task as it stands now."""
        task = self.store.memory.tasks.get(task_id)
        # A one-shot task stays `started`; whether it is over, its run says.
        has_begun = task.kind is not TaskKind.ONCE and task.status is not TaskStatus.PENDING
        self._lending.asked(task_id, is_over=has_begun or task.status in (TaskStatus.FAILED, TaskStatus.KILLED))
        return task

    def run(self, run_id: str) -> RunRow:
        """A run as it stands now; where nobody is at work on it, after a look at what has become of it."""
        run = self.store.memory.runs.get(run_id)
        self._lending.asked(run.task_id, is_over=run.status.is_final)
        if run.status is not RunStatus.RUNNING or not self._lookout.is_left(run):
            return run
        self._lookout.look()
        return self.store.memory.runs.get(run_id)

    def pause(self, task_id: str) -> TaskStatus:
        """Begin no further runs of the task; see `pausing.pause`."""
        self._check_open()
        pausing.pause(self.store, task_id)
        self._time_travel.settle_stubs()
        return self.store.memory.tasks.get(task_id).status

    def resume(self, task_id: str) -> TaskStatus:
        """Let a paused task run again; see `pausing.resume`."""
        self._check_open()
        status = pausing.resume(self.store, task_id)
        self._begin_work()
        self._begin_loop()
        return status

    def kill_run(self, run_id: str) -> None:
        """Ask for a run's end; see `killing.kill_run`."""
        self._check_open()
        killing.kill_run(self.store, run_id)
        self._time_travel.settle_stubs()

    def kill_task(self, task_id: str) -> TaskStatus:
        """Ask for no further runs of the task, and for the end of those there are; see `killing.kill_task`."""
        self._check_open()
        status = killing.kill_task(self.store, task_id)
        self._time_travel.settle_stubs()
        return status if self.store.stub is None else self.store.memory.tasks.get(task_id).status

    def delete(self, *orchestration_ids: str, dry_run: bool = False) -> None:
        """Remove orchestrations for good, all of these or none; see `deletion.delete`."""
        self._check_open()
        deletion.delete(self.store, orchestration_ids, dry_run=dry_run)

    def files(self, run_id: str) -> list[Path]:
        """What the run made or changed in its work folder: absolute paths, sorted."""
        from orchlite.bundles import bundle

        run = self.store.memory.runs.get(run_id)
        attempt = tidying.work_folder(self.store, run)
        if attempt is None:
            return []
        sha = self.store.memory.orchestrations.of_task(run.task_id).sha
        return [attempt.work / path for path in bundle.changed_files(self.store.bundles.path(sha), attempt.work)]

    def close(self, *, drain: bool, patience_seconds: float | None = None) -> None:
        """Let go of the store. With `drain`, first wait for the one-shot runs that were submitted here.

        Idempotent. Without `drain`, and inside a task, it waits for nothing: runs go on under their runners, what is queued stays queued.
        In a forked child it does nothing.

        Raises:
            DeviceFailed: the store failed while it was waited for; it was let go of all the same.
        """
        if self._is_closed or not self.is_ours():
            return
        drain = drain and self.store.own_run_id is None
        if drain:
            try:
                # The runs of a stub end when somebody moves the clock: perhaps never.
                self.waiting.for_submitted(patience_seconds, _ONE_SHOT if self.store.stub is None else {TaskKind.PACKAGING})
            except Closed:
                pass  # somebody else has let go meanwhile
            except DeviceFailed:
                self.close(drain=False)  # what ends there is of no use any more, and nothing that could be waited for
                raise
        with self._closing:
            if self.is_closed:
                return
            self._is_closed = True
        self.store.closed.set()
        self._scheduler.stop()
        self._workers.stop(_JOIN_SECONDS if drain else 0)
        if drain:
            telling.finish(self.store)
            tidying.tidy(self.store)
        telling.fall_silent(self.store)
        self.store.memory.close()  # first: that an installer's leash is cut now must not be recorded as the end of its packaging
        self.store.process.close()
        self._disappear()
        with suppress(OSError):
            presence.forget_dead(self.store.folder.hosts)  # nobody else may come for long
        self.store.changes.announce()

    def kill_everything(self, patience_seconds: float | None = None) -> None:
        """Kill every run that this host has submitted and wait for their ends: for the grace and a little more, or as long as is said.

        What is still alive then is killed at once.
        """
        self._scheduler.stop()
        self.ask_for_ends()
        with suppress(WaitTimeout):
            self.waiting.for_submitted(self.store.settings.grace_seconds + _SWEEP_SECONDS if patience_seconds is None else patience_seconds)
        self._discard(self.unfinished())
        with suppress(WaitTimeout):
            self.waiting.for_submitted(_RECORD_SECONDS)
        self._workers.stop(_RECORD_SECONDS)  # who has just recorded an end may yet have to tell of it
        telling.finish(self.store, telling.LIMIT_SECONDS if patience_seconds is None else _RECORD_SECONDS)

    def _discard(self, runs: Sequence[RunRow]) -> None:
        # All at once: each takes half a second and more, and the interpreter is to exit.
        folders = [self.store.folder.run(run.run_id) for run in runs]
        threads = [threading.Thread(target=self.store.process.discard, args=(folder,), daemon=True) for folder in folders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def ask_for_ends(self) -> None:
        """Ask for the end of every run that this host has submitted, what is queued last first, so that nothing moves up meanwhile."""
        for run in reversed(self.unfinished()):
            with suppress(IllegalMove):
                killing.kill_run(self.store, run.run_id)
        self._time_travel.settle_stubs()

    def unfinished(self) -> list[RunRow]:
        """What this host has submitted and what has not ended, oldest first; inside a task nothing, since all of it is its host's."""
        if self.store.own_run_id is not None:
            return []
        return self.store.memory.runs.unfinished_submitted_by(self.store.host_id)

    def _begin_work(self) -> None:
        """What this host submits, it runs. Inside a task nothing begins: its host does the work."""
        if self.store.own_run_id is None:
            self._workers.start()
            self._watch.start()

    def _begin_queued(self) -> None:
        """Something was queued here, or handed over to this host."""
        self._begin_work()
        self._workers.look()

    def _begin_loop(self, at: datetime | None = None) -> None:
        """Keep schedules from now on, and look after the runs of hosts that are gone, which may stand in the way of others.

        at: when what is new is due, where that is known.
        """
        if self.store.own_run_id is None:
            self._scheduler.start()
            self._scheduler.look(at)
            self._lookout.watch()

    def _look(self) -> None:
        """After any change of the store, perhaps by others."""
        self._scheduler.look()
        self._workers.lend(self.store.memory.runs.count_waiting(self.store.host_id))
        self._workers.look()
        self.store.changes.announce()

    def _disappear(self) -> None:
        if self._presence is not None:
            self._presence.end()

    def _perform(self, assignment: Assignment) -> None:
        if assignment.task.kind is not TaskKind.PACKAGING:
            one_run.perform(self.store, assignment)
        elif self.store.stub is None:
            packager.package(self.store, assignment)
        else:
            packager.pretend(self.store, assignment)
            self._time_travel.settle_stubs()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Closed("This client is closed.", hint="Open a new Client on the same store.")
        if not self.is_ours():
            raise Closed("This client was opened by the parent process.", hint="Open a Client of its own in a forked process.")


def _own_run(folder: StoreFolder, memory: Memory) -> RunRow | None:
    """The run of this very store that this process is, if it is one."""
    run_id = task_context.own_run(str(folder.path))
    return None if run_id is None else memory.runs.find(run_id)


def _as_inside(settings: Settings, memory: Memory, own_run: RunRow) -> Settings:
    """What a run uploads sees the same below its requirements as the run itself, unless it says otherwise."""
    if settings.base_image != Settings().base_image:
        return settings
    return settings._replace(base_image=memory.orchestrations.of_task(own_run.task_id).base_image)
