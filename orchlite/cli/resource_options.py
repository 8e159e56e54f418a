"""The options of `run` and `schedule` for what the processes of a run may use."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

Resources = dict[str, Any]
"""Keyword arguments of `Orchestration.run_once` and its siblings: those that are given."""

_NAMES = ("memory", "cpu_seconds", "nice")


def resource_options(function: Callable[..., Any]) -> Any:
    """Decorate a verb with the options for limits of a run, passed as `resources`. Calling it raises `BadArgument` for invalid ones."""

    @wraps(function)
    def wrapper(**others: Any) -> Any:
        from orchlite.core.records import ResourceLimits
        from orchlite.core.resource_arguments import changed_resources

        given = {name: value for name in _NAMES if (value := others.pop(name)) is not None}
        changed_resources(ResourceLimits(), given.get("memory"), given.get("cpu_seconds"), given.get("nice"))  # before anything is uploaded
        return function(resources=given, **others)

    for decorate in (
        click.option("--nice", type=int, metavar="N", help="Lower the priority of the run's processes, as nice(1) does: 1 to 19."),
        click.option("--cpu-seconds", type=int, metavar="N", help="Processor time that each process of the run may use."),
        click.option("--memory", metavar="SIZE", help="Memory (address space) that each process of the run may use: 512MiB, 4GiB."),
    ):
        wrapper = decorate(wrapper)
    return wrapper
