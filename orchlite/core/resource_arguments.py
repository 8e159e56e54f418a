"""Checks what the processes of a run may use, as callers give it."""

from __future__ import annotations

from types import EllipsisType

from orchlite.core.arguments import checked_count
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument
from orchlite.core.records import ResourceLimits
from orchlite.core.sizes import parsed_size, size_text

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
    """Return a task's limits with the given ones changed. `...`, and None for `nice`, keep a limit as it is.

    Raises:
        BadArgument: an argument is refused.
    """
    if not isinstance(memory, EllipsisType):
        size = None if memory is None else _checked_memory(memory)
        known = known._replace(memory_bytes=size)
    if not isinstance(cpu_seconds, EllipsisType):
        seconds = None if cpu_seconds is None else checked_count(cpu_seconds, "cpu_seconds", 1, _MOST_CPU_SECONDS)
        known = known._replace(cpu_seconds=seconds)
    return known if nice is None else known._replace(nice=checked_count(nice, "nice", 0, _MOST_NICE))


def _checked_memory(value: object) -> int:
    if isinstance(value, str):
        count = parsed_size(value)
        if count is None:
            raise BadArgument(Argument("memory") + f" is {value!r:.80}.", hint="Write it like 512MiB or 4GiB.", argument="memory")
    else:
        count = checked_count(value, "memory", 0)
    if not _LEAST_MEMORY_BYTES <= count <= _MOST_MEMORY_BYTES:
        hint = f"It takes {size_text(_LEAST_MEMORY_BYTES)} to {size_text(_MOST_MEMORY_BYTES)}."
        raise BadArgument(Argument("memory") + f" is {size_text(count)}.", hint=hint, argument="memory")
    return count
