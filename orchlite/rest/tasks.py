"""The endpoints `task/…`: run, look at, list, read logs, kill, pause and resume."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from orchlite.core.errors import BadArgument
from orchlite.core.status import TaskStatus
from orchlite.rest import request_models, response_models, serializers
from orchlite.rest.dependencies import JsonRoute, Reader, View

router = APIRouter(prefix="/v1/api/task", tags=["tasks"], route_class=JsonRoute)

RUNS_OF_A_TASK = 5
"""How many runs a task is shown with, as the platform does unless `run_limit` says otherwise."""
_LISTED_RUNS = 10
_POLICIES = ("timezone", "concurrency", "missed", "starting_deadline_seconds")


@router.post("/run_once", status_code=201, response_model=response_models.Id)
def run_once(body: request_models.RunOnce, view: View) -> Response:
    """Run an orchestration once. Answers the task's id."""
    orchestration = view.orchestration_in(body.workspace_id, body.orch_id)
    task = orchestration.run_once(body.name, body.arguments, body.timeout, body.debug, env=body.env)
    return serializers.json_answer(response_models.Id(id=task.id()), 201)


@router.post("/run_scheduled", status_code=201, response_model=response_models.Id)
def run_scheduled(body: request_models.RunScheduled, view: View) -> Response:
    """Run an orchestration on a schedule, five fields of cron: minute, hour, day of the month, month, day of the week."""
    orchestration = view.orchestration_in(body.workspace_id, body.orch_id)
    policy: dict[str, Any] = {name: value for name in _POLICIES if (value := getattr(body, name)) is not None}
    name: Any = body.name  # the library asks for one, and takes None, as the platform does
    task = orchestration.run_scheduled(name, body.schedule, body.arguments, body.timeout, body.debug, env=body.env, **policy)
    return serializers.json_answer(response_models.Id(id=task.id()), 201)


@router.post("/run_continuously", status_code=201, response_model=response_models.Id)
def run_continuously(body: request_models.RunContinuously, view: View) -> Response:
    """Start an orchestration again whenever it ends."""
    orchestration = view.orchestration_in(body.workspace_id, body.orch_id)
    name: Any = body.name  # as above
    task = orchestration.run_continuously(name, body.arguments, body.debug, env=body.env)
    return serializers.json_answer(response_models.Id(id=task.id()), 201)


@router.post("/get_by_id", response_model=response_models.Task)
def get_by_id(body: request_models.TaskById, view: View, reader: Reader) -> Response:
    """One task with its newest runs, oldest first."""
    return serializers.json_answer(serializers.task(view.task(body.id, _bounded(body.run_limit)), reader))


@router.post("/list", response_model=list[response_models.Task])
def list_tasks(body: request_models.Tasks, view: View, reader: Reader) -> Response:
    """Tasks, newest first, each with its newest runs; killed ones only with `killed`."""
    ids = view.task_ids(workspace_id=body.workspace_id, orchestration_id=body.orch_id, sha=body.orch_sha, killed=bool(body.killed))
    return serializers.json_list(serializers.task(one, reader) for one in view.tasks(ids, _bounded(body.run_limit)))


@router.post("/get_tasks_by_orch_sha", response_model=response_models.Ids)
def of_sha(body: request_models.TasksOfSha, view: View) -> Response:
    """The ids of the tasks that run these bytes, newest first, killed ones too."""
    return serializers.json_answer(response_models.Ids(ids=view.task_ids(sha=body.sha, killed=True)))


@router.post("/list_task_runs", response_model=list[response_models.RunDetails])
def list_runs(body: request_models.TaskRuns, view: View, reader: Reader) -> Response:
    """A task's runs, newest first: ten, unless `limit` says otherwise."""
    statuses = serializers.run_statuses(body.status, reader)
    if statuses is None:
        words = ", ".join(serializers.RUN_WORDS)
        raise BadArgument(f"status is {body.status!r:.80}.", hint=f"It takes one of: {words}.", argument="status")
    limit = _LISTED_RUNS if body.limit is None else body.limit
    rows = view.runs(body.task_id, limit, statuses, body.time_range)
    return serializers.json_list(serializers.run_details(row, reader) for row in rows)


@router.post("/get_run_details", response_model=response_models.RunDetails)
def run_details(body: request_models.RunOfTask, view: View, reader: Reader) -> Response:
    """One run of a task."""
    return serializers.json_answer(serializers.run_details(view.run(body.pod_id, body.task), reader))


@router.post("/get_logs_for_run", response_model=response_models.Logs)
def logs(body: request_models.RunLogs, view: View) -> Response:
    """What a run has written so far, the newest `lines` of it, oldest first."""
    return serializers.json_answer(response_models.Logs(logs=list(view.client.get_task_run_by_id(body.id).logs(body.lines))))


@router.post("/kill", status_code=202, response_model=response_models.Task)
def kill(body: request_models.KillTask, view: View, reader: Reader) -> Response:
    """Ask for no further runs of a task, and for the end of those there are. Idempotent."""
    task = view.client.get_task_by_id(body.id)
    was_killed = task.status() is TaskStatus.KILLED
    task.kill()
    answer = serializers.task(view.task(body.id, RUNS_OF_A_TASK), reader)
    if not was_killed:  # the platform answers with the request, even where nothing was left to be ended
        answer.update({"status": TaskStatus.PENDING_KILL, "killed": False})
    return serializers.json_answer(answer, 202)


@router.post("/pause", status_code=202, response_model=response_models.Task)
def pause(body: request_models.PauseTask, view: View, reader: Reader) -> Response:
    """Let a scheduled or continuous task begin no further runs, or let it run again."""
    task = view.client.get_task_by_id(body.id)
    if body.pause:
        task.pause()
    else:
        task.resume()
    return serializers.json_answer(serializers.task(view.task(body.id, RUNS_OF_A_TASK), reader), 202)


def _bounded(run_limit: int | None) -> int:
    return RUNS_OF_A_TASK if run_limit is None else run_limit
