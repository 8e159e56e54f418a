"""The page of a task: how it has done over time, when it is due, what it runs, and buttons that change that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from orchlite.client.failures import why_failed
from orchlite.client.health import keeping
from orchlite.client.replacements import candidates
from orchlite.client.schedule_facts import schedule_facts
from orchlite.client.task import Task, shown_status
from orchlite.client.task_history import Failing, TaskHistory, history, lateness_seconds, runs_before
from orchlite.client.task_run import TaskRun
from orchlite.core.errors import OrchliteError
from orchlite.core.records import PastRun, RunRow
from orchlite.core.status import FAILED
from orchlite.core.text import counted
from orchlite.web.argument_texts import arguments_text
from orchlite.web.change_texts import change_text
from orchlite.web.plots import Plot, durations_plot, metric_plot
from orchlite.web.possible_actions import possible_actions
from orchlite.web.rendering import time_text
from orchlite.web.replacement_form import Refused, fields_of, replace
from orchlite.web.run_marks import look_of, moment_of
from orchlite.web.visible import cut
from orchlite.web.visit import Visit, action, page, see

_CHARTED = 200
"""How many runs the charts show."""
_LISTED = 50
_METRICS, _METRIC_NAMES = 6, 100
"""How many metrics are drawn, and how many are offered to be drawn."""
_DUE = 5
_ARGUMENTS_CHARACTERS = 20_000
_WHY_CHARACTERS = 200


def show_task(visit: Visit, refused: Refused | None = None) -> Response:
    """Return the page of the task in the address. If a replacement was refused, its form is open, and says why."""
    task = visit.client.get_task_by_id(visit.request.path_params["task_id"])
    known = history(visit.engine, task.id(), _CHARTED)
    orchestration = visit.client.get_orchestration_by_id(task.orchestration())
    runs, older = _listed(visit, task, known)
    return visit.render(
        "task.html",
        task=task,
        shown_status=shown_status(task),
        orchestration=orchestration,
        title=task.name() or orchestration.name() or task.id(),
        actions=possible_actions(task),
        schedule=schedule_facts(task, _DUE),
        is_unkept=keeping(visit.engine).is_unkept,
        arguments=_arguments_text(task),
        failing=_failing(visit, known.failing),
        changes=[(change, change_text(change)) for change in reversed(known.changes) if change.differences is not None],
        durations=durations_plot(known, task.timeout(), visit.now, time_text),
        metrics=_metrics(visit, known),
        metric_names=known.metric_names[:_METRIC_NAMES],
        runs=[(past.run, look_of(past.run), moment_of(past.run), _why(visit, past.run), lateness_seconds(past.run)) for past in runs],
        is_newest=not visit.query("before"),
        older=older,
        candidates=candidates(visit.engine, task) if possible_actions(task).replace else [],
        fields=fields_of(task) if refused is None else refused.fields,
        refused=refused,
    )


def _listed(visit: Visit, task: Task, known: TaskHistory) -> tuple[Sequence[PastRun], str | None]:
    """Return the runs of one page of the list, and the id of the run before which the next page begins."""
    before = visit.query("before")
    newest = runs_before(visit.engine, task.id(), before, _LISTED + 1) if before else known.runs[::-1][: _LISTED + 1]
    return newest[:_LISTED], newest[_LISTED - 1].run.run_id if len(newest) > _LISTED else None


def _metrics(visit: Visit, known: TaskHistory) -> list[Plot]:
    """Return the plots of the first six metrics, or of the one that the address names."""
    names = known.metric_names
    wanted = [visit.query("metric")] if visit.query("metric") in names else names[:_METRICS]
    return [metric_plot(known, name, time_text) for name in wanted]


def _failing(visit: Visit, failing: Failing | None) -> Mapping[str, Any] | None:
    """Return since when the task fails, and why, for the template."""
    if failing is None:
        return None
    return {
        "newest": failing.newest.run,
        "why": _why(visit, failing.newest.run),
        "since": moment_of(failing.first.run),
        "runs": counted(failing.runs, "run"),
        "last_success": None if failing.last_success is None else failing.last_success.run,
        "changes": [change_text(change) for change in failing.changes],
    }


def _why(visit: Visit, run: RunRow) -> str:
    """Return why a run ended or was skipped, if that is known: of a failed run without a reason, the error at the end of its log."""
    if run.reason or run.status not in FAILED:
        return cut((run.reason or "").partition("\n")[0], _WHY_CHARACTERS)
    try:
        return cut(why_failed(TaskRun(visit.engine, run.run_id, run.task_id)), _WHY_CHARACTERS)
    except OrchliteError:  # its log cannot be read, or it was deleted meanwhile
        return f"exit code {run.exit_code}"


def _arguments_text(task: Task) -> str:
    text = arguments_text(task.input_data())
    return text if len(text) <= _ARGUMENTS_CHARACTERS else f"{text[:_ARGUMENTS_CHARACTERS]}\n… {len(text):,} characters in all"


def _replace(visit: Visit) -> Response:
    task = visit.client.get_task_by_id(visit.request.path_params["task_id"])
    refused = replace(visit.client, task, {name: visit.field(name) for name in fields_of(task)})
    if refused is None:
        return see(visit.url(f"/tasks/{task.id()}"))
    response = show_task(visit, refused)
    response.status_code = 400
    return response


ROUTES = [page("/tasks/{task_id}", show_task), action("/tasks/{task_id}/replace", _replace)]
