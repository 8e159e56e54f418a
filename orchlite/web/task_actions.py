"""What the buttons of a task do: run now, pause, resume, kill."""

from __future__ import annotations

from starlette.responses import Response

from orchlite.client.task import Task
from orchlite.core.status import TaskKind
from orchlite.web.visit import Visit, action, back, see


def _task(visit: Visit) -> Task:
    return visit.client.get_task_by_id(visit.request.path_params["task_id"])


def _run(visit: Visit) -> Response:
    """Start a run of a scheduled task, or repeat the newest run of a one-shot task, and lead to it."""
    task = _task(visit)
    newest = task.last_runs(1) if task.kind() is TaskKind.ONCE else []
    run = newest[0].rerun() if newest else task.run_now()
    return see(visit.url(f"/runs/{run.id()}"))


def _pause(visit: Visit) -> Response:
    _task(visit).pause()
    return back(visit)


def _resume(visit: Visit) -> Response:
    _task(visit).resume()
    return back(visit)


def _kill(visit: Visit) -> Response:
    _task(visit).kill()
    return back(visit)


ROUTES = [
    action("/tasks/{task_id}/run", _run),
    action("/tasks/{task_id}/pause", _pause),
    action("/tasks/{task_id}/resume", _resume),
    action("/tasks/{task_id}/kill", _kill),
]
