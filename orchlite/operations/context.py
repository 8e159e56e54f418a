"""One open store, as its operations share it: its rows, its files, its environments, its settings, and the identity of this host."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from orchlite.bundles.storage import BundleStorage
from orchlite.core.clock import Clock, controlled
from orchlite.core.errors import DeviceFailed, StoreDamaged, StoreTooNew
from orchlite.core.folders import StoreFolder
from orchlite.core.records import Claim, NotificationEvent, OrchestrationRow, RunRow, TaskRow
from orchlite.core.settings import Settings
from orchlite.environments.environments import Environments
from orchlite.operations.cleaner import Cleaner
from orchlite.operations.model_storage import ModelStorage
from orchlite.operations.notifier import Notifier
from orchlite.operations.postponed_runs import PostponedRuns
from orchlite.operations.standbys import Standbys
from orchlite.runs.protocol import Process
from orchlite.runs.spec import RunSpec
from orchlite.store.database import Transaction
from orchlite.store.store import Store

if TYPE_CHECKING:
    from orchlite.runs.cluster import Cluster

UNUSABLE = (StoreDamaged, StoreTooNew)
"""Errors that do not go away while this host has the store open."""

_RETRY_SECONDS = 1.0
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Assignment(NamedTuple):
    """A claimed run, with its task and orchestration."""

    run: RunRow
    task: TaskRow
    orchestration: OrchestrationRow
    is_claimed: Callable[[], bool] = lambda: True
    """Block until the claim is durable; return False if it was withdrawn. Until then the run may be prepared, but not started."""
    is_prepared: bool = False
    """Whether its bundle is unpacked, and its program may stand by."""
    was_started: Callable[[], None] = lambda: None
    """Called once a runner has the run, before its end is waited for."""
    spec: RunSpec | Exception | None = None
    """With what it is started, if the thread that has submitted it has found out; or why it cannot be."""

    @property
    def label(self) -> str:
        """What the log calls the task: its name, else the orchestration's, else the bundle's."""
        return repr(self.task.name or self.orchestration.name or self.orchestration.file_name)


class Change:
    """Set when the store has changed. Unlike an event, no interrupt of the thread that waits can make the others wait forever."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[None] = SimpleQueue()
        self.ended: RunRow | None = None
        """The run that is waited for, if it was announced how that ended: it need not be read again."""

    def set(self) -> None:
        """Wake the thread that waits, or that will."""
        self._calls.put(None)

    def wait(self, timeout_seconds: float) -> None:
        """Block until it is set, and clear it."""
        with suppress(Empty):
            self._calls.get(timeout=timeout_seconds)
            while True:
                self._calls.get_nowait()


class Changes:
    """Wakes the threads that wait for a change of the store, each only for what it waits for."""

    def __init__(self) -> None:
        self._waiting: dict[Change, str | None] = {}
        self._lock = threading.Lock()
        self.announced = 0
        """How many changes this host has announced."""

    @contextmanager
    def subscribed(self, run_id: str | None = None) -> Iterator[Change]:
        """Yield what is set at every change, or only at those that may concern this run."""
        event = Change()
        with self._lock:
            self._waiting[event] = run_id
        try:
            yield event
        finally:
            with self._lock:
                del self._waiting[event]

    def announce(self, run_id: str | None = None, ended: RunRow | None = None) -> None:
        """Report that the store has changed; with `run_id`, that nothing but this run has; with `ended`, how it has ended."""
        with self._lock:
            self.announced += 1
            for event, awaited in self._waiting.items():
                if run_id is None or awaited is None or awaited == run_id:
                    event.ended = ended if awaited == run_id else None
                    event.set()


class Context:
    """What the operations on one open store have in common. It does nothing by itself."""

    def __init__(
        self,
        *,
        folder: StoreFolder,
        store: Store,
        environments: Environments,
        process: Process,
        cluster: Cluster | None = None,
        clock: Clock,
        settings: Settings,
        host_id: str,
        boot_id: str,
        own_run_id: str | None = None,
    ) -> None:
        self.folder = folder
        self.store = store
        self.bundles = BundleStorage(folder.bundles, durable=not settings.leash)
        self.model_files = ModelStorage(folder.models, durable=not settings.leash)
        self.environments = environments
        self.process = process
        """Executes packaging, and runs if there is no cluster."""
        self.cluster = cluster
        """Executes the runs that this host claims; None: this machine does."""
        self.clock = clock
        self.controlled_clock = controlled(clock)
        """The clock, if time passes only when a caller moves it: then nothing here waits for it."""
        self.settings = settings
        self.boot_id = boot_id
        self.own_run_id = own_run_id
        """The run of this store that this process is. It submits, reads and kills; all other work is left to its host."""
        self.notifier = Notifier(clock)
        self.cleaner = Cleaner()
        self.postponed = PostponedRuns()
        self.standbys = Standbys(settings.standby_seconds if cluster is None else 0)
        self.closed = threading.Event()
        """Set when this host closes the store, or gives it up."""
        self.failure: DeviceFailed | None = None
        """Why this host gave the store up; None if it did not."""
        self.raises_failure = False
        """Whether a caller raises `failure`, so that it need not be logged."""
        self.changes = Changes()
        """Announced after every change that this host makes."""
        self.serves_store = False
        """Whether this host works for the whole store, and so runs its own commands for tasks that have none."""
        self._host_id = host_id

    @property
    def host_id(self) -> str:
        """The host that executes what is submitted here."""
        return self._host_id

    def refresh_host(self) -> None:
        """Inside a task, read again which host executes what is submitted here: another one adopts this run if the first one dies."""
        own_run = None if self.own_run_id is None else self.store.runs.find(self.own_run_id)
        if own_run is not None and own_run.host_id is not None:
            self._host_id = own_run.host_id

    def give_up(self, error: DeviceFailed) -> None:
        """End the threads of this host, because the store cannot be used any more: one of the errors in `UNUSABLE`."""
        if self.failure is None and not self.closed.is_set():
            self.failure = error
            if not self.raises_failure:
                _log.error("this process stops working on the store: %s", error)
        self.closed.set()

    def host_commands(self) -> Mapping[NotificationEvent, tuple[str, ...]]:
        """Return the notification commands of this host for tasks that have none."""
        settings = self.settings
        commands: dict[NotificationEvent, tuple[str, ...] | None] = {
            "failure": settings.on_failure,
            "success": settings.on_success,
            "late": settings.on_late,
        }
        return {event: command for event, command in commands.items() if command is not None and self.serves_store}

    def promise_notification(self, transaction: Transaction, run_id: str, event: NotificationEvent) -> None:
        """Record that this host notifies of the run's outcome, if its task or this host has a command for it."""
        self.store.notifications.promise(transaction, run_id, event, self.host_id, has_default=event in self.host_commands())

    def claim(self) -> Claim:
        """Return a claim by this host, made now."""
        return Claim(self.host_id, self.boot_id, self.clock.now())

    def commit_eventually(self, action: Callable[[Transaction], T], run_id: str | None = None) -> T:
        """Do as `committed`, and announce the change.

        run_id: the only run that `action` changes, if it is one.

        Raises:
            Closed, StoreDamaged: as `committed`.
        """
        result = self.committed(action)
        self.changes.announce(run_id)
        return result

    def committed(self, action: Callable[[Transaction], T]) -> T:
        """Run `action` in a transaction; retry every second while the store is busy or the disk full: an outcome is never lost.

        Return what `action` returns.

        Raises:
            Closed: the store was closed meanwhile; the next host finds out by itself.
            StoreDamaged: the store accepts no writes any more.
        """
        while True:
            try:
                with self.store.transaction() as transaction:
                    return action(transaction)
            except StoreDamaged:
                raise
            except DeviceFailed:
                _log.warning("the store %s accepts no writes at the moment; trying again", self.folder.path, exc_info=True)
                threading.Event().wait(_RETRY_SECONDS)
