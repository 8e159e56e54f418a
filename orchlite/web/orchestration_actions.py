"""What the forms of an orchestration do: run it once, or by a schedule."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from orchlite.client.orchestration import Orchestration
from orchlite.core.errors import BadArgument
from orchlite.web.visit import Visit, action, see


def _orchestration(visit: Visit) -> Orchestration:
    return visit.client.get_orchestration_by_id(visit.request.path_params["orchestration_id"])


def _run(visit: Visit) -> Response:
    task = _orchestration(visit).run_once(visit.field("name").strip() or None, _arguments(visit))
    return see(visit.url(f"/runs/{task.last_runs()[-1].id()}"))


def _schedule(visit: Visit) -> Response:
    task = _orchestration(visit).run_scheduled(
        visit.field("name").strip(),
        visit.field("schedule").strip(),
        _arguments(visit),
        timezone=visit.field("timezone").strip() or "UTC",
        concurrency=visit.field("concurrency") or "allow",
    )
    return see(visit.url(f"/tasks/{task.id()}"))


def _arguments(visit: Visit) -> dict[str, Any] | None:
    """Return the object in the field `arguments`; None if it is empty.

    Raises:
        BadArgument: it is something else.
    """
    text = visit.field("arguments").strip()
    try:
        arguments = json.loads(text or "null")
    except (ValueError, RecursionError):
        arguments = text
    if arguments is not None and not isinstance(arguments, dict):
        raise BadArgument("The arguments are not a JSON object.", hint='Write them as {"name": "Ada"}.', argument="json_args")
    return arguments


ROUTES = [
    action("/orchestrations/{orchestration_id}/run", _run),
    action("/orchestrations/{orchestration_id}/schedule", _schedule),
]
