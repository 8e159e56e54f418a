"""One open store, as its hands share it: where things lie, what is remembered, which devices do the work, who this host is."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from orchlite.bundles.storage import BundleStorage
from orchlite.core.clock import Clock, ControlledClock
from orchlite.core.errors import DeviceFailed, StoreDamaged
from orchlite.core.folders import StoreFolder
from orchlite.core.protocols import Process, Stub
from orchlite.core.records import Claim, OrchestrationRow, RunRow, TaskRow
from orchlite.core.settings import Settings
from orchlite.environments.environments import Environments
from orchlite.store.database import Transaction
from orchlite.store.store import Store

_AGAIN_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Assignment(NamedTuple):
    """A claimed run, and all that is known about what it runs."""

    run: RunRow
    task: TaskRow
    orchestration: OrchestrationRow
    is_claimed: Callable[[], bool] = lambda: True
    """Block until the claim is durable; False where it was withdrawn. The run may be prepared before that, and no more."""


class Changes:
    """Tells those who wait of changes, each only of what it waits for."""

    def __init__(self) -> None:
        self._waiting: dict[threading.Event, str | None] = {}
        self._lock = threading.Lock()

    @contextmanager
    def heard(self, run_id: str | None = None) -> Iterator[threading.Event]:
        """An event that is set at every change from now on, or at those that may concern this run. Clear it before looking again."""
        event = threading.Event()
        with self._lock:
            self._waiting[event] = run_id
        try:
            yield event
        finally:
            with self._lock:
                del self._waiting[event]

    def announce(self, run_id: str | None = None) -> None:
        """Something has changed; with a run, nothing but that one."""
        with self._lock:
            for event, awaited in self._waiting.items():
                if run_id is None or awaited is None or awaited == run_id:
                    event.set()


class Context:
    """What the hands of one open store hold in common. It does nothing by itself."""

    def __init__(
        self,
        *,
        folder: StoreFolder,
        store: Store,
        bundles: BundleStorage,
        environments: Environments,
        process: Process,
        clock: Clock,
        settings: Settings,
        host_id: str,
        boot_id: str,
        own_run_id: str | None = None,
    ) -> None:
        self.folder = folder
        self.store = store
        self.bundles = bundles
        self.environments = environments
        self.process = process
        self.clock = clock
        self.stub = process if isinstance(process, Stub) else None
        """The process, where it executes nothing."""
        self.clock_is_manual = isinstance(clock, ControlledClock)
        """Whether time only passes when somebody says so: then nothing here waits for it."""
        self.settings = settings
        self.host_id = host_id
        """Who is to start what is submitted here."""
        self.boot_id = boot_id
        self.own_run_id = own_run_id
        """The run of this store that this process is: then it submits, reads and kills, and leaves all other work to its host."""
        self.active_attempts: set[tuple[str, int]] = set()
        """The ids of the runs that a thread here brings to their ends. Another one that this host has claimed was dropped."""
        self.untidy: queue.SimpleQueue[str] = queue.SimpleQueue()
        """The ids of runs that have ended and whose work folders are to be tidied, when there is time."""
        self.tellings: dict[threading.Thread, threading.Event] = {}
        """Those that tell somebody of a bad end, and that are not yet done. The event is set when the command has been started."""
        self.is_silent = False
        """Whether it is left to the next host to tell of bad ends."""
        self.closed = threading.Event()
        """Set when this host lets go of the store."""
        self.changes = Changes()
        """Announced after every change of this host's that somebody may wait for."""

    def claim(self) -> Claim:
        """A claim of this host's, as of now."""
        return Claim(self.host_id, self.boot_id, self.clock.now())

    def commit_eventually(self, action: Callable[[Transaction], None], run_id: str | None = None) -> None:
        """Do something in a transaction, again and again while the store takes nothing: an end is never lost for that.

        The store may be busy, the disk full, a quota used up, or a device in trouble for a while.

        run_id: all that it changes, where it is one run.

        Raises:
            Closed: the store was closed meanwhile; the next host will find out by itself.
            StoreDamaged: it will not take anything any more.
        """
        while True:
            try:
                with self.store.transaction() as transaction:
                    action(transaction)
                break
            except StoreDamaged:
                raise
            except DeviceFailed:
                _log.warning("the store %s takes nothing at the moment; trying again", self.folder.path, exc_info=True)
                threading.Event().wait(_AGAIN_SECONDS)
        self.changes.announce(run_id)

    def refresh_host(self) -> None:
        """Inside a task, see who is to do what is submitted: another host than at first, where that died and this run was adopted."""
        own_run = None if self.own_run_id is None else self.store.runs.find(self.own_run_id)
        if own_run is not None and own_run.host_id is not None:
            self.host_id = own_run.host_id
