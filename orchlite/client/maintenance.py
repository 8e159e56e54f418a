"""The part of a client that maintains its store: prune, back up, restore, check. Its imports are made at the first call."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchlite.core.arguments import checked_flag, checked_path
from orchlite.core.clock import Clock, SystemClock
from orchlite.core.settings import Retention
from orchlite.core.system_errors import shortages
from orchlite.engine.engine import Engine

if TYPE_CHECKING:
    from orchlite.core.tables import Table
    from orchlite.operations.integrity import Finding, Progress
    from orchlite.operations.retention import Pruned


class Maintenance:
    """The methods of a client that maintain its store. Only `prune` happens by itself, daily, if `Client(retention=...)` was given."""

    _engine: Engine

    def prune(self, older_than: timedelta | str | None = None, *, dry_run: bool = False, force: bool = False) -> Pruned:
        """Remove what has ended and is old. Block until it is done, and return the counts; others may use the store meanwhile.

        Removes runs that ended longer ago, with their logs and files; tasks that have ended; events; inference logs; environments that were
        not used for that long; and files that belong to nothing. Never removes queued or running runs, orchestrations, models, pipelines,
        or tasks that may run again.

        older_than: the age for all of these, a `timedelta` or a text such as `"30d"`; by default the terms of this client's
            `retention`, else those of `Retention()`.
        dry_run: remove nothing, and return what would be removed.
        force: remove unused environments although another store that uses the same cache cannot be read and may need them. Without it,
            all environments stay, and `unseen_stores` of the result names such stores.

        Raises:
            BadArgument: an argument is refused.
            StoreBusy: another process kept the store locked for more than 10 s. What was removed before stays removed.
            DeviceFailed: the store or the cache of environments cannot be read.
        """
        with shortages("The store cannot be pruned", so_far="What was removed before stays removed."):
            from orchlite.operations import retention as pruning

            usual = self._engine.context.settings.retention or Retention()
            retention = usual if older_than is None else pruning.older_than(older_than)
            dry_run, force = checked_flag(dry_run, "dry_run"), checked_flag(force, "force")
            return pruning.prune(self._engine.context, retention, dry_run=dry_run, force=force)

    def backup(self, path: str | os.PathLike[str]) -> Path:
        """Copy the store into a new folder, and return its absolute path. Block until the copy is durable; others may use the store.

        The copy has everything that was stored before the call, secrets included. Runs that are queued or running have ended in the copy,
        so that it never repeats what the original does. `Client.restore` makes a store of it.

        Raises:
            Conflict: `path` exists.
            BadArgument: `path` is not a path, or is inside the store.
            StorageFull, DeviceFailed: the copy cannot be written; nothing of it is left.
        """
        from orchlite.operations import backup

        return backup.backup(self._engine.context, checked_path(path))

    @staticmethod
    def restore(path: str | os.PathLike[str], into: str | os.PathLike[str], *, clock: Clock | None = None) -> None:
        """Create a store from the backup at `path`, in the new or empty folder `into`. The backup is not changed.

        Slots between the backup and now are skipped, because the original store may have run them. `clock` says what now is; by default the
        system's clock.

        Raises:
            BadArgument: `path` is not a backup, or an argument is not a path.
            Conflict: `into` is not empty.
            StoreTooNew: a newer orchlite made the backup.
            StoreDamaged: the backup is damaged.
            StorageFull, DeviceFailed: the store cannot be written; nothing of it is left.
        """
        from orchlite.operations.restore import restore

        restore(checked_path(path), checked_path(into, "into"), (clock or SystemClock()).now())

    def check(self, *, quick: bool = False, progress: Progress | None = None) -> Table[Finding]:
        """Read the whole store and return what is wrong with it, each with a remedy; for a healthy store an empty table.

        Block until everything was read, bundles and models included; others may use the store meanwhile. Damage is returned, not raised.

        quick: leave out the bytes of bundles and models, the indexes and events of the database, and the folders of runs: for a million
            runs that takes seconds instead of minutes.
        progress: a function that is called with what is being checked, how many of that were, and how many there are, such as
            `("runs", 500, 20000)`; both are 0 for what is not counted.

        Raises:
            BadArgument: `quick` is not a bool.
        """
        quick = checked_flag(quick, "quick")
        with shortages("The store cannot be checked"):
            from orchlite.operations import integrity

            return integrity.check(self._engine.context, quick=quick, progress=progress)


def checked_retention(retention: Retention | None) -> Retention | None:
    """Return a retention with usable fields, or None.

    Raises:
        BadArgument: `retention` is something else, or one of its fields is refused.
    """
    if retention is None:
        return None
    from orchlite.operations import retention as pruning

    return pruning.checked(retention)
