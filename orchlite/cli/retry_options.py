"""The options of `run` and `schedule` for trying failed runs again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import click

from orchlite.cli.options import Duration

Retry = dict[str, Any]
"""Keyword arguments of `Orchestration.run_once` and its siblings: those that are given."""


def retry_options(function: Callable[..., Any]) -> Any:
    """Decorate a verb with the options for retries, passed as `retry`."""

    @wraps(function)
    def wrapper(retries: int | None, retry_delay: timedelta | None, retry_unknown: bool, **others: Any) -> Any:
        options = {"retries": retries, "retry_delay": retry_delay, "retry_unknown": retry_unknown or None}
        return function(retry={name: value for name, value in options.items() if value is not None}, **others)

    for decorate in (
        click.option("--retry-unknown", is_flag=True, help="Also retry if the outcome is unknown: the program may have done its work."),
        click.option("--retry-delay", type=Duration(), help="Wait this long before a retry: 30s, 5m.  [default: 1m]"),
        click.option("--retries", type=click.IntRange(0), metavar="N", help="Times to retry a failed run; each try is a run of its own."),
    ):
        wrapper = decorate(wrapper)
    return wrapper


def check_retry(retry: Retry) -> None:
    """Refuse what cannot be, before anything is uploaded.

    Raises:
        BadArgument: an option is refused, or one is given without `--retries`.
    """
    from orchlite.core.retry_arguments import changed_retry

    changed_retry(None, *(retry.get(name) for name in ("retries", "retry_delay", "retry_unknown")))
