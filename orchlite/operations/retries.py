"""Decides whether a failed run is tried again.

The next try is queued in the transaction that records the failure, so it survives the death of its host. Any host of the store starts it.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from orchlite.core.records import RunResult, RunRow, TaskRow
from orchlite.core.status import FAILED, STARTS_NO_MORE, OrchestrationStatus, RunStatus
from orchlite.store.database import Transaction
from orchlite.store.store import Store


def try_again(store: Store, transaction: Transaction, run_id: str, result: RunResult, now: datetime) -> bool:
    """Queue the next try of a run that has just failed. Return False if there is none: this failure is final."""
    if result.status not in FAILED:
        return False
    run = store.runs.find(run_id)
    task = None if run is None else store.tasks.find(transaction, run.task_id)
    if run is None or task is None or task.retry is None or not _may_follow(store, transaction, run, task, result.status):
        return False
    at = now + timedelta(seconds=task.retry.delay_seconds)
    reason = f"try {run.try_number + 1} of {task.retry.retries + 1}, not before {at.isoformat()}"
    store.tries.insert(transaction, str(uuid.uuid4()), run_id, at, now, reason)
    return True


def _may_follow(store: Store, transaction: Transaction, run: RunRow, task: TaskRow, status: RunStatus) -> bool:
    assert task.retry is not None
    if run.try_number > task.retry.retries or run.kill_requested or task.status in STARTS_NO_MORE:
        return False
    if status is RunStatus.UNKNOWN and not task.retry.unknown:
        return False
    if store.orchestrations.status(transaction, task.orchestration_id) is not OrchestrationStatus.READY:
        return False
    return not store.tries.is_overtaken(transaction, run.run_id)
