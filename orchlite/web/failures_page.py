"""The page of failures: failed runs, grouped by the last line of their traceback."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from orchlite.client.failure_groups import MOST, failure_groups
from orchlite.web.visit import Visit, page

_PERIODS = {1: "24 hours", 7: "7 days", 30: "30 days", 365: "a year"}
_DEFAULT_DAYS = 7


def _show(visit: Visit) -> Response:
    days = visit.number("days", _DEFAULT_DAYS)
    days = days if days in _PERIODS else _DEFAULT_DAYS
    groups = failure_groups(visit.engine, visit.workspace_id, visit.now - timedelta(days=days))
    count = sum(len(group.runs) for group in groups)
    return visit.render("failures.html", groups=groups, count=count, is_cut=count >= MOST, days=days, periods=_PERIODS)


ROUTES = [page("/failures", _show)]
