"""One open store, as its hands share it: where things lie, what is remembered, which devices do the work, who this host is."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from weakref import WeakSet

from orchlite.bundle_files import BundleFiles
from orchlite.environments import Environments
from orchlite.errors import DeviceFailed, StoreDamaged
from orchlite.paths import StoreFolder
from orchlite.records import Claim, Settings
from orchlite.replaceable import Clock, Process, SteeredClock, Stub
from orchlite.store.database import Transaction
from orchlite.store.memory import Memory

_AGAIN_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Changes:
    """Counts changes, so that one that happens between a look and a wait is not missed, and nothing is looked at under a lock."""

    def __init__(self) -> None:
        self.count = 0
        self._condition = threading.Condition()

    def announce(self) -> None:
        """Something has changed: wake whoever waits."""
        with self._condition:
            self.count += 1
            self._condition.notify_all()

    def wait(self, count: int, seconds: float) -> bool:
        """Block until the count is no longer this one; False where it still is after so many seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: self.count != count, seconds)


class OpenStore:
    """What the hands of one open store hold in common. It does nothing by itself."""

    def __init__(
        self,
        *,
        folder: StoreFolder,
        memory: Memory,
        bundles: BundleFiles,
        environments: Environments,
        process: Process,
        clock: Clock,
        settings: Settings,
        host_id: str,
        boot_id: str,
        own_run_id: str | None = None,
    ) -> None:
        self.folder = folder
        self.memory = memory
        self.bundles = bundles
        self.environments = environments
        self.process = process
        self.clock = clock
        self.stub = process if isinstance(process, Stub) else None
        """The process, where it executes nothing."""
        self.clock_is_manual = isinstance(clock, SteeredClock)
        """Whether time only passes when somebody says so: then nothing here waits for it."""
        self.settings = settings
        self.host_id = host_id
        """Who is to start what is submitted here."""
        self.boot_id = boot_id
        self.own_run_id = own_run_id
        """The run of this store that this process is: then it submits, reads and kills, and leaves all other work to its host."""
        self.untidy: queue.SimpleQueue[str] = queue.SimpleQueue()
        """The ids of runs that have ended and whose work folders are to be tidied, when there is time."""
        self.tellings: WeakSet[threading.Thread] = WeakSet()
        """Those that tell somebody of a bad end, and that are not yet done."""
        self.closed = threading.Event()
        """Set when this host lets go of the store."""
        self.changes = Changes()
        """Announced after every change of this host's that somebody may wait for."""

    def claim(self) -> Claim:
        """A claim of this host's, as of now."""
        return Claim(self.host_id, self.boot_id, self.clock.now())

    def persist(self, action: Callable[[Transaction], None]) -> None:
        """Do something in a transaction, again and again while the store takes nothing: an end is never lost for that.

        The store may be busy, the disk full, a quota used up, or a device in trouble for a while.

        Raises:
            Closed: the store was closed meanwhile; the next host will find out by itself.
            StoreDamaged: it will not take anything any more.
        """
        while True:
            try:
                with self.memory.transaction() as transaction:
                    action(transaction)
                break
            except StoreDamaged:
                raise
            except DeviceFailed:
                _log.warning("the store %s takes nothing at the moment; trying again", self.folder.path, exc_info=True)
                threading.Event().wait(_AGAIN_SECONDS)
        self.notify()

    def find_host(self) -> None:
        """Inside a task, see who is to do what is submitted: another host than at first, where that died and this run was adopted."""
        own_run = None if self.own_run_id is None else self.memory.runs.find(self.own_run_id)
        if own_run is not None and own_run.host_id is not None:
            self.host_id = own_run.host_id

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        self.changes.announce()
