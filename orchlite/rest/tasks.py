"""The endpoints `task/…`: run, look at, list, read logs, kill, pause and resume."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from orchlite.core.errors import BadArgument
from orchlite.core.status import TaskStatus
from orchlite.rest import answers, requests, shapes
from orchlite.rest.routing import JsonRoute, Reader, View

router = APIRouter(prefix="/v1/api/task", tags=["tasks"], route_class=JsonRoute)

RUNS_OF_A_TASK = 5
"""How many runs a task is shown with, as the platform does unless `run_limit` says otherwise."""
_LISTED_RUNS = 10
_POLICIES = ("timezone", "concurrency", "missed", "starting_deadline_seconds")


@router.post("/run_once", status_code=201, response_model=shapes.Id)
def run_once(asked: requests.RunOnce, view: View) -> Response:
    """Run an orchestration once. Answers the task's id."""
    orchestration = view.orchestration_in(asked.workspace_id, asked.orch_id)
    task = orchestration.run_once(asked.name, asked.arguments, asked.timeout, asked.debug, env=asked.env)
    return answers.json_answer(shapes.Id(id=task.id()), 201)


@router.post("/run_scheduled", status_code=201, response_model=shapes.Id)
def run_scheduled(asked: requests.RunScheduled, view: View) -> Response:
    """Run an orchestration on a schedule, five fields of cron: minute, hour, day of the month, month, day of the week."""
    orchestration = view.orchestration_in(asked.workspace_id, asked.orch_id)
    policy: dict[str, Any] = {name: value for name in _POLICIES if (value := getattr(asked, name)) is not None}
    name: Any = asked.name  # the library asks for one, and takes None, as the platform does
    task = orchestration.run_scheduled(name, asked.schedule, asked.arguments, asked.timeout, asked.debug, env=asked.env, **policy)
    return answers.json_answer(shapes.Id(id=task.id()), 201)


@router.post("/run_continuously", status_code=201, response_model=shapes.Id)
def run_continuously(asked: requests.RunContinuously, view: View) -> Response:
    """Start an orchestration again whenever it ends."""
    orchestration = view.orchestration_in(asked.workspace_id, asked.orch_id)
    name: Any = asked.name  # as above
    return answers.json_answer(shapes.Id(id=orchestration.run_continuously(name, asked.arguments, asked.debug, env=asked.env).id()), 201)


@router.post("/get_by_id", response_model=shapes.Task)
def get_by_id(asked: requests.TaskById, view: View, reader: Reader) -> Response:
    """One task with its newest runs, oldest first."""
    return answers.json_answer(answers.task(view.task(asked.id, _bounded(asked.run_limit)), reader))


@router.post("/list", response_model=list[shapes.Task])
def list_tasks(asked: requests.Tasks, view: View, reader: Reader) -> Response:
    """Tasks, newest first, each with its newest runs; killed ones only with `killed`."""
    ids = view.task_ids(workspace_id=asked.workspace_id, orchestration_id=asked.orch_id, sha=asked.orch_sha, killed=bool(asked.killed))
    return answers.json_list(answers.task(one, reader) for one in view.tasks(ids, _bounded(asked.run_limit)))


@router.post("/get_tasks_by_orch_sha", response_model=shapes.Ids)
def of_sha(asked: requests.TasksOfSha, view: View) -> Response:
    """The ids of the tasks that run these bytes, newest first, killed ones too."""
    return answers.json_answer(shapes.Ids(ids=view.task_ids(sha=asked.sha, killed=True)))


@router.post("/list_task_runs", response_model=list[shapes.RunDetails])
def list_runs(asked: requests.TaskRuns, view: View, reader: Reader) -> Response:
    """A task's runs, newest first: ten, unless `limit` says otherwise."""
    statuses = answers.run_statuses(asked.status, reader)
    if statuses is None:
        raise BadArgument(f"status is {asked.status!r:.80}.", hint=f"It takes one of: {', '.join(answers.RUN_WORDS)}.", argument="status")
    limit = _LISTED_RUNS if asked.limit is None else asked.limit
    rows = view.runs(asked.task_id, limit, statuses, asked.time_range)
    return answers.json_list(answers.run_details(row, reader) for row in rows)


@router.post("/get_run_details", response_model=shapes.RunDetails)
def run_details(asked: requests.RunOfTask, view: View, reader: Reader) -> Response:
    """One run of a task."""
    return answers.json_answer(answers.run_details(view.run(asked.pod_id, asked.task), reader))


@router.post("/get_logs_for_run", response_model=shapes.Logs)
def logs(asked: requests.RunLogs, view: View) -> Response:
    """What a run has written so far, the newest `lines` of it, oldest first."""
    return answers.json_answer(shapes.Logs(logs=list(view.client.get_task_run_by_id(asked.id).logs(asked.lines))))


@router.post("/kill", status_code=202, response_model=shapes.Task)
def kill(asked: requests.KillTask, view: View, reader: Reader) -> Response:
    """Ask for no further runs of a task, and for the end of those there are. Idempotent."""
    task = view.client.get_task_by_id(asked.id)
    was_killed = task.status() is TaskStatus.KILLED
    task.kill()
    answer = answers.task(view.task(asked.id, RUNS_OF_A_TASK), reader)
    if not was_killed:  # the platform answers with the request, even where nothing was left to be ended
        answer.update({"status": TaskStatus.PENDING_KILL, "killed": False})
    return answers.json_answer(answer, 202)


@router.post("/pause", status_code=202, response_model=shapes.Task)
def pause(asked: requests.PauseTask, view: View, reader: Reader) -> Response:
    """Let a scheduled or continuous task begin no further runs, or let it run again."""
    task = view.client.get_task_by_id(asked.id)
    if asked.pause:
        task.pause()
    else:
        task.resume()
    return answers.json_answer(answers.task(view.task(asked.id, RUNS_OF_A_TASK), reader), 202)


def _bounded(run_limit: int | None) -> int:
    return RUNS_OF_A_TASK if run_limit is None else run_limit
