"""Checks how often, and when, a failed run is to be tried again, as callers give it."""

from __future__ import annotations

from orchlite.core.arguments import checked_count, checked_flag, checked_seconds
from orchlite.core.durations import Duration
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument
from orchlite.core.records import RetryPolicy

_MAX_RETRIES = 100
_DELAY_SECONDS = 60.0
_MAX_DELAY_SECONDS = 366.0 * 86_400


def changed_retry(
    known: RetryPolicy | None, retries: int | None, retry_delay: Duration | None, retry_unknown: bool | None
) -> RetryPolicy | None:
    """Return a task's policy with those arguments changed that are not None. 0 `retries` are none, whatever the others were.

    Raises:
        BadArgument: an argument is refused, or there are no retries with which it would go.
    """
    if known is None or retries == 0:
        return checked_retry(retries or 0, retry_delay, bool(retry_unknown))
    return checked_retry(
        known.retries if retries is None else retries,
        known.delay_seconds if retry_delay is None else retry_delay,
        known.unknown if retry_unknown is None else retry_unknown,
    )


def checked_retry(retries: int, retry_delay: Duration | None, retry_unknown: bool) -> RetryPolicy | None:
    """Return the policy; None for no retries. The delay is a minute by default.

    Raises:
        BadArgument: an argument is refused, or one of the others is given without `retries`.
    """
    policy = RetryPolicy(
        checked_count(retries, "retries", 0, _MAX_RETRIES),
        _DELAY_SECONDS if retry_delay is None else checked_seconds(retry_delay, "retry_delay", _MAX_DELAY_SECONDS),
        checked_flag(retry_unknown, "retry_unknown"),
    )
    if policy.retries:
        return policy
    if retry_delay is not None or policy.unknown:
        argument = "retry_unknown" if policy.unknown else "retry_delay"
        raise BadArgument(
            Argument(argument) + " has no effect without retries.", hint="Give " + Argument("retries") + ".", argument=argument
        )
    return None
