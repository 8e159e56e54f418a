"""The hands of one open store, built and held together: submit, wait, kill, delete, close."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from orchlite import killing, one_run, packager, presence, submissions, tidying, uploads
from orchlite.bundle_files import BundleFiles
from orchlite.environments import Environments
from orchlite.errors import Closed, Conflict, IllegalMove, WaitTimeout
from orchlite.open_store import OpenStore
from orchlite.paths import StoreFolder
from orchlite.presence import Presence
from orchlite.process import Runners
from orchlite.records import Assignment, Clock, OrchestrationRow, Process, RunRow, Settings, TaskRow
from orchlite.recovery import Lookout
from orchlite.status import RunStatus, TaskKind, TaskStatus
from orchlite.store.memory import Memory
from orchlite.submissions import Order
from orchlite.uploads import Upload
from orchlite.waiting import Waiting
from orchlite.workers import Workers

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
        memory = Memory(folder.database)
        self._presence = Presence(folder.hosts)
        self.store = OpenStore(
            folder=folder,
            memory=memory,
            bundles=BundleFiles(folder.bundles),
            environments=environments,
            process=process or Runners(folder.diagnostics),
            clock=clock,
            settings=settings,
            host_id=self._presence.host_id,
            boot_id=presence.boot_id(),
        )
        self._workers = Workers(self.store, self._perform, lambda: tidying.tidy(self.store))
        self._lookout = Lookout(self.store)
        self.waiting = Waiting(self.store, self._workers, self._lookout)
        self._closing = threading.Lock()
        self._is_closed = False
        self._pid = os.getpid()
        try:
            self._lookout.open()
        except BaseException:
            memory.close()
            self._presence.end()
            raise

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def is_ours(self) -> bool:
        """Whether this process opened it; False in a forked child."""
        return os.getpid() == self._pid

    def start(self) -> None:
        """Work for the whole store: run what any host has queued."""
        self._check_open()
        self._workers.start(whole_store=True)
        self._lookout.watch()

    def upload(self, upload: Upload, *, reuse: bool = False) -> OrchestrationRow:
        """Take a bundle in and have it packaged; see `uploads.receive`."""
        self._check_open()
        orchestration = uploads.receive(self.store, upload, reuse=reuse)
        self._workers.start()
        self._workers.look()
        return orchestration

    def submit(self, orchestration_id: str, order: Order) -> TaskRow:
        """Make a task with one run. The run begins now where a worker is free, else in its turn.

        Raises:
            PackagingFailed: the orchestration is in `error`.
        """
        self._check_open()
        return submissions.submit(self.store, self._workers, orchestration_id, order)

    def run(self, run_id: str) -> RunRow:
        """A run as it stands now; where its host is gone, after a look at what that left."""
        run = self.store.memory.runs.get(run_id)
        if run.status is not RunStatus.RUNNING or run.host_id in (None, self.store.host_id):
            return run
        if presence.is_alive(self.store.folder.hosts, str(run.host_id)):
            return run
        self._lookout.look()
        return self.store.memory.runs.get(run_id)

    def kill_run(self, run_id: str) -> None:
        """Ask for a run's end; see `killing.kill_run`."""
        self._check_open()
        killing.kill_run(self.store, run_id)

    def kill_task(self, task_id: str) -> TaskStatus:
        """Ask for no further runs of the task, and for the end of those there are; see `killing.kill_task`."""
        self._check_open()
        return killing.kill_task(self.store, task_id)

    def delete(self, orchestration_id: str) -> None:
        """Remove an orchestration with its tasks, runs and logs; its bundle too, where no other orchestration has the same bytes.

        Raises:
            Conflict: a task of it is alive.
        """
        self._check_open()
        memory = self.store.memory
        sha = memory.orchestrations.get(orchestration_id).sha
        with memory.transaction() as transaction:
            alive = memory.tasks.alive_of_orchestration(transaction, orchestration_id)
            if alive:
                raise Conflict(
                    f"Orchestration {orchestration_id} has a task that is alive: {alive[0].task_id}.",
                    hint="Kill the task, or wait for it, first.",
                    task_ids=[task.task_id for task in alive],
                )
            run_ids = memory.runs.ids_of_orchestration(transaction, orchestration_id)
            memory.orchestrations.delete(transaction, orchestration_id)
        for run_id in run_ids:
            shutil.rmtree(self.store.folder.run(run_id).path, ignore_errors=True)
        with memory.transaction() as transaction:  # a lock: nobody can refer to these bytes anew meanwhile
            if not memory.orchestrations.is_referenced(transaction, sha):
                self.store.bundles.discard(sha)

    def files(self, run_id: str) -> list[Path]:
        """What the run made or changed in its work folder: absolute paths, sorted."""
        from orchlite import bundle

        run = self.store.memory.runs.get(run_id)
        attempt = tidying.work_folder(self.store, run)
        if attempt is None:
            return []
        orchestration_id = self.store.memory.tasks.get(run.task_id).orchestration_id
        sha = self.store.memory.orchestrations.get(orchestration_id).sha
        return [attempt.work / path for path in bundle.changed_files(self.store.bundles.path(sha), attempt.work)]

    def close(self, *, drain: bool, patience_seconds: float | None = None) -> None:
        """Let go of the store. With `drain`, first wait for the one-shot runs that were submitted here.

        Idempotent. Without `drain` it waits for nothing: runs go on under their runners, what is queued stays queued.
        In a forked child it does nothing.
        """
        if self._is_closed or not self.is_ours():
            return
        if drain:
            with suppress(Closed):  # somebody else has let go meanwhile
                self.waiting.for_submitted(patience_seconds)
        with self._closing:
            if self.is_closed:
                return
            self._is_closed = True
        self.store.closed.set()
        self._workers.stop(_JOIN_SECONDS if drain else 0)
        if drain:
            tidying.tidy(self.store)
        self.store.memory.close()  # first: that an installer's leash is cut now must not be recorded as the end of its packaging
        self.store.process.close()
        self._presence.end()
        self.store.notify()

    def kill_everything(self, patience_seconds: float | None = None) -> None:
        """Kill every run that this host has submitted and wait for their ends: for the grace and a little more, or as long as is said.

        What is still alive then is killed at once.
        """
        self.ask_for_ends()
        with suppress(WaitTimeout):
            self.waiting.for_submitted(self.store.settings.grace_seconds + _SWEEP_SECONDS if patience_seconds is None else patience_seconds)
        for run in self.unfinished():
            self.store.process.discard(self.store.folder.run(run.run_id))
        with suppress(WaitTimeout):
            self.waiting.for_submitted(_RECORD_SECONDS)

    def ask_for_ends(self) -> None:
        """Ask for the end of every run that this host has submitted, what is queued last first, so that nothing moves up meanwhile."""
        for run in reversed(self.unfinished()):
            with suppress(IllegalMove):
                killing.kill_run(self.store, run.run_id)

    def unfinished(self) -> list[RunRow]:
        """What this host has submitted and what has not ended, oldest first."""
        return self.store.memory.runs.unfinished_submitted_by(self.store.host_id)

    def _perform(self, assignment: Assignment) -> None:
        (packager.package if assignment.task.kind is TaskKind.PACKAGING else one_run.perform)(self.store, assignment)

    def _check_open(self) -> None:
        if self._is_closed:
            raise Closed("This client is closed.", hint="Open a new Client on the same store.")
        if not self.is_ours():
            raise Closed("This client was opened by the parent process.", hint="Open a Client of its own in a forked process.")
