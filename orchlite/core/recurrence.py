"""What is said of tasks that run again and again: by which rule they are due, and which of their slots had no run."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class SchedulePolicy(NamedTuple):
    """When a scheduled task is due, and what becomes of slots that cannot have their run in time."""

    expression: str
    timezone: str
    concurrency: str
    """Where a run of the task has not ended at a slot: `allow` another, `forbid` it, or `replace` the old one."""
    missed: str
    """Of the slots at which no host was there: a run for the `latest`, for `all`, or for `none`."""
    starting_deadline_seconds: float | None
    """How late a slot's run may start."""


class Skipped(NamedTuple):
    """A slot that has no run, or several in a row."""

    slot_at: datetime
    """The newest of them."""
    reason: str
    slots: int = 1
