"""What a schedule means, shown before anything is scheduled."""

from __future__ import annotations

from datetime import datetime

from orchlite.core.clock import SystemClock
from orchlite.schedules import schedule


def upcoming(expression: str, n: int, *, timezone: str = "UTC") -> list[datetime]:
    """The next `n` times at which a schedule is due, from now on: aware, in the zone asked for.

    `expression` is five fields of cron: minute, hour, day of the month, month, day of the week; or a word such as `@daily`.

    Raises:
        BadSchedule: the expression or the zone is refused; `details["field"]` says which part.
        BadArgument: `n` is no number from 0 to 10,000.
    """
    return schedule.upcoming(expression, n, timezone=timezone, now=SystemClock().now())
