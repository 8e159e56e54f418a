"""The endpoints `task/…`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from orchlite.core.errors import BadArgument
from orchlite.core.status import TaskStatus
from orchlite.rest import request_models, response_models, serializers
from orchlite.rest.dependencies import ClientDialect, JsonRoute, Queries
from orchlite.rest.spelling import refuse_misspelt

router = APIRouter(prefix="/v1/api/task", tags=["tasks"], route_class=JsonRoute)

RUNS_PER_TASK = 5
"""How many runs a task is shown with by default, as on the platform."""
_LISTED_RUNS = 10
_RETRY_FIELDS = ("retries", "retry_delay", "retry_unknown")
_RESOURCE_FIELDS = ("memory", "cpu_seconds", "nice")
_POLICY_FIELDS = ("timezone", "concurrency", "missed", "starting_deadline_seconds")


@router.post("/run_once", status_code=201, response_model=response_models.Id, dependencies=[refuse_misspelt(request_models.RunOnce)])
def run_once(body: request_models.RunOnce, queries: Queries) -> Response:
    """Run an orchestration once. Returns the task's id."""
    orchestration = queries.orchestration_in(body.workspace_id, body.orch_id)
    given = _given(body, _RETRY_FIELDS + _RESOURCE_FIELDS)
    task = orchestration.run_once(body.name, body.arguments, body.timeout, body.debug, env=body.env, **given)
    return serializers.json_response(response_models.Id(id=task.id()), 201)


@router.post(
    "/run_scheduled", status_code=201, response_model=response_models.Id, dependencies=[refuse_misspelt(request_models.RunScheduled)]
)
def run_scheduled(body: request_models.RunScheduled, queries: Queries) -> Response:
    """Run an orchestration on a schedule, a cron expression of five fields: minute, hour, day of the month, month, day of the week."""
    orchestration = queries.orchestration_in(body.workspace_id, body.orch_id)
    policy = _given(body, _POLICY_FIELDS + _RETRY_FIELDS + _RESOURCE_FIELDS)
    name: Any = body.name  # the library's signature requires a name, but it accepts None, as the platform does
    task = orchestration.run_scheduled(name, body.schedule, body.arguments, body.timeout, body.debug, env=body.env, **policy)
    return serializers.json_response(response_models.Id(id=task.id()), 201)


@router.post(
    "/run_continuously", status_code=201, response_model=response_models.Id, dependencies=[refuse_misspelt(request_models.RunContinuously)]
)
def run_continuously(body: request_models.RunContinuously, queries: Queries) -> Response:
    """Run an orchestration, and start it again whenever it ends."""
    orchestration = queries.orchestration_in(body.workspace_id, body.orch_id)
    task = orchestration.run_continuously(body.name, body.arguments, body.debug, env=body.env, **_given(body, _RESOURCE_FIELDS))
    return serializers.json_response(response_models.Id(id=task.id()), 201)


@router.post("/get_by_id", response_model=response_models.Task)
def get_by_id(body: request_models.TaskById, queries: Queries, dialect: ClientDialect) -> Response:
    """Get a task with its newest runs, oldest first."""
    return serializers.json_response(serializers.task(queries.task(body.id, _run_limit(body.run_limit)), dialect))


@router.post("/list", response_model=list[response_models.Task])
def list_tasks(body: request_models.TaskCriteria, queries: Queries, dialect: ClientDialect) -> Response:
    """List tasks, the last updated first, each with its last updated runs. Killed tasks are listed with `killed` only."""
    task_ids = queries.task_ids(
        workspace_id=body.workspace_id, orchestration_id=body.orch_id, sha=body.orch_sha, killed=bool(body.killed), limit=body.limit
    )
    tasks = queries.tasks(task_ids, _run_limit(body.run_limit))
    return serializers.json_list_response(serializers.task(task, dialect) for task in tasks)


@router.post("/get_tasks_by_orch_sha", response_model=response_models.Ids)
def of_sha(body: request_models.TasksOfSha, queries: Queries) -> Response:
    """List the ids of the tasks that run this bundle, the last updated first, including killed ones."""
    return serializers.json_response(response_models.Ids(ids=queries.task_ids(sha=body.sha, killed=True)))


@router.post("/list_task_runs", response_model=list[response_models.RunDetails])
def list_runs(body: request_models.TaskRuns, queries: Queries, dialect: ClientDialect) -> Response:
    """List the runs of a task, the last updated first. `limit` is 10 by default."""
    statuses = serializers.run_statuses(body.status, dialect)
    if statuses is None:
        choices = ", ".join(serializers.RUN_FILTERS)
        raise BadArgument(f"status is {body.status!r:.80}.", hint=f"Use one of: {choices}.", argument="status")
    limit = _LISTED_RUNS if body.limit is None else body.limit
    rows = queries.runs(body.task_id, limit, statuses, body.time_range)
    return serializers.json_list_response(serializers.run_details(row, queries.metrics(row.run_id), dialect) for row in rows)


@router.post("/get_run_details", response_model=response_models.RunDetails)
def run_details(body: request_models.RunOfTask, queries: Queries, dialect: ClientDialect) -> Response:
    """Get a run of a task."""
    run = queries.run(body.pod_id, body.task)
    return serializers.json_response(serializers.run_details(run, queries.metrics(run.run_id), dialect))


@router.post("/get_logs_for_run", response_model=response_models.Logs)
def logs(body: request_models.RunLogs, queries: Queries) -> Response:
    """Get what a run has written so far: the newest `lines` lines, oldest first."""
    return serializers.json_response(response_models.Logs(logs=list(queries.client.get_task_run_by_id(body.id).logs(body.lines))))


@router.post("/kill", status_code=202, response_model=response_models.Task)
def kill(body: request_models.KillTask, queries: Queries, dialect: ClientDialect) -> Response:
    """Request that a task's runs end and no further ones start. Idempotent."""
    task = queries.client.get_task_by_id(body.id)
    was_killed = task.status() is TaskStatus.KILLED
    task.kill()
    content = serializers.task(queries.task(body.id, RUNS_PER_TASK), dialect)
    if not was_killed:  # the platform responds with the request, even if the task had no run to end
        content.update({"status": TaskStatus.PENDING_KILL, "killed": False})
    return serializers.json_response(content, 202)


@router.post("/pause", status_code=202, response_model=response_models.Task)
def pause(body: request_models.PauseTask, queries: Queries, dialect: ClientDialect) -> Response:
    """Pause a scheduled or continuous task, so that it starts no further runs, or resume it."""
    task = queries.client.get_task_by_id(body.id)
    if body.pause:
        task.pause()
    else:
        task.resume()
    return serializers.json_response(serializers.task(queries.task(body.id, RUNS_PER_TASK), dialect), 202)


def _given(body: request_models.RunOnce | request_models.RunContinuously, names: Sequence[str]) -> dict[str, Any]:
    """Return those of orchlite's fields that the request has."""
    return {name: value for name in names if (value := getattr(body, name)) is not None}


def _run_limit(run_limit: int | None) -> int:
    return RUNS_PER_TASK if run_limit is None else run_limit
