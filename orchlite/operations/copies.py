"""Copies of a store's folder, by `cp -r`, rsync or a snapshot: a copy must not do what the original does.

A store records the path, device and inode of its database file; in a copy, they differ. There the original's unfinished runs have ended,
and schedules wait until the copy is adopted: otherwise each nightly run would happen twice. A store that was moved while nothing ran is not
a copy. Neither is a restored backup, which has no such record.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from orchlite.core.errors import BadSchedule
from orchlite.core.records import IdentityRow, RunResult
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.operations import due_times, outcome
from orchlite.operations.context import Context
from orchlite.store import events
from orchlite.store.database import Transaction
from orchlite.store.maintenance import UnfinishedRun
from orchlite.store.store import Store

_log = logging.getLogger(__name__)


def settle_identity(context: Context) -> bool:
    """Find out whether the store is a copy that was not adopted. Call it before anything else is done with the store.

    If it was copied since it was last opened, end in it what was queued or running.
    """
    current = _identity(context)
    recorded = context.store.identity.find()
    if recorded is not None and recorded._replace(is_copy=False) == current:
        return recorded.is_copy
    with context.store.transaction() as transaction:
        recorded = context.store.identity.find()  # another process may have settled it meanwhile
        is_copy = recorded is not None and recorded.is_copy
        if recorded is not None and not _is_same_file(recorded, current) and _was_copied(context, recorded, current):
            is_copy = True
            now = context.clock.now()
            end_unfinished(context.store, transaction, now, "when the store was copied")
            events.record(transaction, "store", "store", None, "copied", now, f"it is a copy of {recorded.path}")
            _log.warning("the store %s is a copy of %s; its schedules wait until it is adopted", current.path, recorded.path)
        context.store.identity.record(transaction, current._replace(is_copy=is_copy))
    return is_copy


def adopt(context: Context) -> None:
    """Let the copy keep its schedules from now on. Slots up to now are skipped: the original had them. Idempotent."""
    now = context.clock.now()
    with context.store.transaction() as transaction:
        recorded = context.store.identity.find()
        if recorded is not None and recorded.is_copy:
            skip_passed_slots(context.store, transaction, now, "it passed before the copy of the store was adopted")
            context.store.identity.record(transaction, recorded._replace(is_copy=False))
            events.record(transaction, "store", "store", None, "adopted", now)


def end_unfinished(copy: Store, transaction: Transaction, now: datetime, when: str) -> None:
    """End in a copy what only the original executes, and whose outcome only the original will know. `when` the copy was made."""
    for pending in copy.notifications.pending():
        copy.notifications.sent(transaction, pending.run_id, pending.event)  # the original sends it
    for run in copy.maintenance.unfinished_runs():
        if run.kind is TaskKind.PACKAGING:
            _queue_packaging(copy, transaction, run, now, f"it was being packaged {when}")
        else:
            _end(copy, transaction, run, now, f"it was {run.status} {when}, so its outcome is known only to the original store")


def skip_passed_slots(store: Store, transaction: Transaction, now: datetime, reason: str) -> None:
    """Skip the slots up to now: the original may have run them."""
    for task in store.tasks.all_due(transaction, now):
        if task.schedule is not None:
            with suppress(BadSchedule):  # it becomes `schedule_error` when a host serves the store
                due_times.skip_until(store, transaction, task, now, reason)


def _identity(context: Context) -> IdentityRow:
    status = context.folder.database.stat()
    return IdentityRow(str(context.folder.path.resolve()), str(status.st_dev), str(status.st_ino), context.boot_id)


def _is_same_file(recorded: IdentityRow, current: IdentityRow) -> bool:
    if recorded.inode != current.inode:
        return False
    # Devices may be renumbered when the machine boots.
    return recorded.device == current.device or (recorded.path == current.path and recorded.boot_id != current.boot_id)


def _was_copied(context: Context, recorded: IdentityRow, current: IdentityRow) -> bool:
    is_there = recorded.path != current.path and _is_there(context, recorded)
    return bool(context.store.runs.running()) or (is_there and _has_work(context.store))


def _has_work(store: Store) -> bool:
    """Return whether a host would do anything in this store by itself; a copy of any other store needs no care."""
    return store.tasks.next_due() is not None or bool(store.lookups.suspended()) or bool(store.maintenance.unfinished_runs())


def _is_there(context: Context, recorded: IdentityRow) -> bool:
    """Return whether the original is still where it was."""
    try:
        status = (Path(recorded.path) / context.folder.database.name).stat()
    except OSError:
        return False
    return str(status.st_ino) == recorded.inode


def _queue_packaging(copy: Store, transaction: Transaction, run: UnfinishedRun, now: datetime, reason: str) -> None:
    """Leave packaging, which is repeatable, to the hosts of the copy."""
    if run.status is RunStatus.RUNNING:
        copy.runs.requeue(transaction, run.run_id, now, reason)
    if copy.orchestrations.status(transaction, run.orchestration_id) is OrchestrationStatus.PACKAGING:
        copy.orchestrations.move(transaction, run.orchestration_id, OrchestrationStatus.PENDING_PACKAGING, now, reason)


def _end(copy: Store, transaction: Transaction, run: UnfinishedRun, now: datetime, reason: str) -> None:
    status = RunStatus.UNKNOWN if run.status is RunStatus.RUNNING else RunStatus.KILLED
    copy.runs.end(transaction, run.run_id, RunResult(status, None, None, now, None, reason))
    if copy.tasks.status(transaction, run.task_id) is TaskStatus.PENDING:
        # A one-shot task has lost its only run, the others one of many.
        target = TaskStatus.FAILED if run.kind is TaskKind.ONCE else TaskStatus.STARTED
        copy.tasks.move(transaction, run.task_id, target, now, reason)
    outcome.advance_task(copy, transaction, run.task_id, now)
