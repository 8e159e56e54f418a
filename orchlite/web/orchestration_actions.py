"""What the forms of an orchestration do: run it once, or by a schedule."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from orchlite.client.orchestration import Orchestration
from orchlite.web.argument_texts import parsed_arguments
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


def _arguments(visit: Visit) -> dict[str, Any]:
    return parsed_arguments(visit.field("arguments").strip() or "{}")


ROUTES = [
    action("/orchestrations/{orchestration_id}/run", _run),
    action("/orchestrations/{orchestration_id}/schedule", _schedule),
]
