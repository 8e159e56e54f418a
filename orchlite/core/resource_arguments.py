"""Checks what the processes of a run may use, as callers give it."""

from __future__ import annotations

from types import EllipsisType

from orchlite.core.arguments import checked_count
from orchlite.core.records import ResourceLimits
from orchlite.core.sizes import checked_size

_LEAST_MEMORY_BYTES = 64 * 2**20
"""An interpreter starts with a third of it, and can start a thread with half."""
_MOST_MEMORY_BYTES = 2**50
_MOST_CPU_SECONDS = 366 * 86_400
_MOST_NICE = 19


def checked_resources(memory: int | str | None, cpu_seconds: int | None, nice: int) -> ResourceLimits:
    """Return the limits of a new task.

    Raises:
        BadArgument: an argument is refused.
    """
    return changed_resources(ResourceLimits(), memory, cpu_seconds, nice)


def changed_resources(
    known: ResourceLimits, memory: int | str | EllipsisType | None, cpu_seconds: int | EllipsisType | None, nice: int | None
) -> ResourceLimits:
    """Return a task's limits with those changed that are given, that is, not `...`, nor None for `nice`.

    Raises:
        BadArgument: an argument is refused.
    """
    if not isinstance(memory, EllipsisType):
        size = None if memory is None else checked_size(memory, "memory", _LEAST_MEMORY_BYTES, _MOST_MEMORY_BYTES)
        known = known._replace(memory_bytes=size)
    if not isinstance(cpu_seconds, EllipsisType):
        seconds = None if cpu_seconds is None else checked_count(cpu_seconds, "cpu_seconds", 1, _MOST_CPU_SECONDS)
        known = known._replace(cpu_seconds=seconds)
    return known if nice is None else known._replace(nice=checked_count(nice, "nice", 0, _MOST_NICE))
