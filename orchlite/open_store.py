"""One open store, as its hands share it: where things lie, what is remembered, which devices do the work, who this host is."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from orchlite.bundle_files import BundleFiles
from orchlite.environments import Environments
from orchlite.paths import StoreFolder
from orchlite.records import Claim, Clock, Process, Settings
from orchlite.store.memory import Memory


@dataclass(frozen=True)
class OpenStore:
    """What the hands of one open store hold in common. It does nothing by itself."""

    folder: StoreFolder
    memory: Memory
    bundles: BundleFiles
    environments: Environments
    process: Process
    clock: Clock
    settings: Settings
    host_id: str
    boot_id: str
    changed: threading.Condition = field(default_factory=threading.Condition)
    """Notified after every change of this host's that somebody may wait for."""

    def claim(self) -> Claim:
        """A claim of this host's, as of now."""
        return Claim(self.host_id, self.boot_id, self.clock.now())

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        with self.changed:
            self.changed.notify_all()
