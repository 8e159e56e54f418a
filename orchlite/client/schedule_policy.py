"""Checks a task's schedule, and its policy for slots that cannot be kept, as callers of the handles give them."""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import Any

from orchlite.core.arguments import checked_choice, checked_timeout
from orchlite.core.durations import Duration
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument
from orchlite.core.records import SchedulePolicy

_CONCURRENCY = ("allow", "forbid", "replace")
_MISSED = ("latest", "all", "none")


def checked_policy(
    schedule: str, timezone: str, concurrency: str, missed: str, starting_deadline_seconds: Duration | None
) -> SchedulePolicy:
    """Return the policy of a new task.

    Raises:
        BadSchedule: the schedule or the zone is refused.
        BadArgument: another argument is refused.
    """
    from orchlite.schedules.schedule import parse

    known = parse(schedule, timezone)
    return SchedulePolicy(
        expression=known.expression,
        timezone=known.timezone,
        concurrency=checked_choice(concurrency, "concurrency", _CONCURRENCY),
        missed=checked_choice(missed, "missed", _MISSED),
        starting_deadline_seconds=checked_timeout(starting_deadline_seconds, "starting_deadline_seconds"),
    )


def checked_changes(
    policy: SchedulePolicy | None,
    schedule: str | None,
    timezone: str | None,
    concurrency: str | None,
    missed: str | None,
    starting_deadline_seconds: Duration | EllipsisType | None,
) -> Mapping[str, Any]:
    """Return the fields of a task's policy that are given, without those that are None or, for the deadline, `...`.

    Raises:
        BadSchedule: the schedule or the zone is refused.
        BadArgument: another argument is refused, or the task has no schedule.
    """
    changes: dict[str, Any] = {}
    if schedule is not None or timezone is not None:
        changes |= _times(policy, schedule, timezone)
    if concurrency is not None:
        changes["concurrency"] = checked_choice(concurrency, "concurrency", _CONCURRENCY)
    if missed is not None:
        changes["missed"] = checked_choice(missed, "missed", _MISSED)
    if not isinstance(starting_deadline_seconds, EllipsisType):
        changes["starting_deadline_seconds"] = checked_timeout(starting_deadline_seconds, "starting_deadline_seconds")
    if changes and policy is None:
        raise _without_schedule(next(iter(changes)))
    return changes


def check_continuous(**given: object) -> None:
    """Refuse arguments, by name, that are given and that a continuous task cannot have. None and `...` stand for what is not given.

    Raises:
        BadArgument: one is given.
    """
    for argument, value in given.items():
        if value is not None and value is not ...:
            raise BadArgument(Argument(argument) + " does not go with a continuous task.", hint="Leave it out.", argument=argument)


def _times(policy: SchedulePolicy | None, schedule: str | None, timezone: str | None) -> Mapping[str, str]:
    from orchlite.schedules.schedule import parse

    if policy is None:
        raise _without_schedule("timezone" if schedule is None else "schedule")
    known = parse(policy.expression if schedule is None else schedule, policy.timezone if timezone is None else timezone)
    return {"expression": known.expression, "timezone": known.timezone}


def _without_schedule(argument: str) -> BadArgument:
    return BadArgument(Argument(argument) + " is for tasks that have a schedule.", hint="Leave it out.", argument=argument)
