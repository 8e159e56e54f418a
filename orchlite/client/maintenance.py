"""The part of a client that keeps its store in order: prune, back up, check. What it needs for that is imported at the first need."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchlite.core.arguments import checked_flag, checked_path
from orchlite.core.clock import Clock, SystemClock
from orchlite.core.settings import Retention
from orchlite.engine.engine import Engine

if TYPE_CHECKING:
    from orchlite.core.tables import Table
    from orchlite.operations.integrity import Finding
    from orchlite.operations.retention import Pruned


class Maintenance:
    """Nothing of this happens by itself, but for the daily pruning where `Client(retention=...)` asks for it."""

    _engine: Engine

    def prune(self, older_than: timedelta | None = None, *, dry_run: bool = False) -> Pruned:
        """Remove what is over and old, and answer what that was; with `dry_run`, what it would be. Blocks until it is done.

        That is: runs that ended longer ago, with logs and files; tasks that are over; events; environments that were not used for so long;
        and files that belong to nothing. Never what is queued or running, no orchestration, no task that may run again. Without
        `older_than`, this client's `retention`, else `Retention()`.

        Raises:
            BadArgument: an argument is refused.
            StoreBusy: another process keeps the store locked; what was removed until then is removed.
        """
        from orchlite.operations import retention as pruning

        usual = self._engine.context.settings.retention or Retention()
        retention = usual if older_than is None else pruning.older_than(older_than)
        return pruning.prune(self._engine.context, retention, dry_run=checked_flag(dry_run, "dry_run"))

    def backup(self, path: str | os.PathLike[str]) -> Path:
        """Copy the store into a new folder, while others work with it; answers the folder. `Client.restore` makes a store of it.

        It has everything that was acknowledged before the call, and the secrets that the store has. What was queued or running then is
        over in the copy: it must never do what the original does.

        Raises:
            Conflict: there is something of that name already.
            BadArgument: it would lie inside the store.
            StorageFull, DeviceFailed: it cannot be written; nothing is left of it.
        """
        from orchlite.operations import backup

        return backup.backup(self._engine.context, checked_path(path))

    @staticmethod
    def restore(path: str | os.PathLike[str], into: str | os.PathLike[str], *, clock: Clock | None = None) -> None:
        """Make a store of the backup at `path`, in the new or empty folder `into`; the backup stays as it is.

        Slots that passed between the two, by the clock (the system's), are skipped, since the original may have run them.

        Raises:
            BadArgument: it is no backup.
            Conflict: the folder is not empty.
            StoreTooNew: a newer orchlite made the backup.
            StoreDamaged: the backup is damaged.
            StorageFull, DeviceFailed: the store cannot be written; nothing is left of it.
        """
        from orchlite.operations.restore import restore

        restore(checked_path(path), checked_path(into, "into"), (clock or SystemClock()).now())

    def check(self) -> Table[Finding]:
        """Read the whole store and answer what is wrong with it, each with a way out; nothing in a healthy one, also while it works."""
        from orchlite.operations import integrity

        return integrity.check(self._engine.context)


def checked_retention(retention: Retention | None) -> Retention | None:
    """A retention whose fields can be meant, or None.

    Raises:
        BadArgument: one cannot.
    """
    if retention is None:
        return None
    from orchlite.operations import retention as pruning

    return pruning.checked(retention)
