"""The page of a run: how it ended and why, what has changed since the last good run, its log, its files; kill it, run it again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from typing import NamedTuple

from starlette.responses import Response

from orchlite.client.difference_texts import DifferenceTexts, difference_texts
from orchlite.client.failures import why_failed
from orchlite.client.lookup import Lookup
from orchlite.client.task import Task
from orchlite.client.task_run import TaskRun
from orchlite.core.errors import BadArgument, BadBundle, DeviceFailed
from orchlite.core.status import FAILED, RunStatus, TaskKind
from orchlite.web.argument_texts import EDITED_CHARACTERS, arguments_text, parsed_arguments
from orchlite.web.found_runs import found_run
from orchlite.web.language import PAGE
from orchlite.web.run_files import run_files
from orchlite.web.run_log import shown_log
from orchlite.web.visible import cut
from orchlite.web.visit import Visit, action, page, see

_ITS_OUTCOME = ("status", "exit_code", "duration_seconds")
"""Of a run, what the page shows above."""
_KINDS = {"run": "Limits", "code": "Code", "package": "Packages", "argument": "Arguments", "variable": "Variables", "metric": "Metrics"}
_MOST_DIFFERENCES = 40
_MOST_METRICS = 40
_NAME_CHARACTERS = 100
_VALUE_CHARACTERS = 60
_SHOWN_CHARACTERS = 2_500
"""How much is shown of arguments."""
_WHY_CHARACTERS = 2_000


class _Changes(NamedTuple):
    """What differs from the last good run."""

    good: TaskRun
    groups: Sequence[tuple[str, Sequence[DifferenceTexts]]]
    """By what they are in, in the order of a comparison."""
    more: int
    """The number of differences that are not shown."""
    packages_unknown: bool
    fault: str = ""
    """Why they could not be compared."""


class _Rerun(NamedTuple):
    """The form that runs a run again."""

    text: str | None
    """The arguments as JSON, as they are edited; None if they are too long for that."""
    fault: str = ""


def _show(visit: Visit) -> Response:
    return _page(visit, found_run(visit))


def _page(visit: Visit, run: TaskRun, rerun: _Rerun | None = None) -> Response:
    task = visit.client.get_task_by_id(run.task())
    row, arguments = visit.engine.store.runs.get(run.id()), arguments_text(run.input_data())
    return visit.render(
        "run.html",
        run=run,
        row=row,
        task=task,
        orchestration=visit.client.get_orchestration_by_id(run.orchestration()),
        title=_title(visit, task),
        why=cut(_why(run), _WHY_CHARACTERS),
        is_unattended=row.placement is not None and run.id() in Lookup(visit.engine, 0).unattended(),
        origin=_origin(run, task),
        changes=_changes(visit, run) if task.kind() is not TaskKind.PACKAGING else None,
        metrics=[*run.metrics().items()][:_MOST_METRICS],
        arguments=cut(arguments, _SHOWN_CHARACTERS),
        rerun=None if task.kind() is TaskKind.PACKAGING else rerun or _Rerun(arguments if len(arguments) <= EDITED_CHARACTERS else None),
        files=run_files(visit, run) if row.status.is_final or row.status is RunStatus.RUNNING else None,
        log=shown_log(visit, run),
    )


def _title(visit: Visit, task: Task) -> str:
    return task.name() or visit.client.get_orchestration_by_id(task.orchestration()).name() or "unnamed"


def _why(run: TaskRun) -> str:
    """Return why a run did not succeed, in words; empty if it did, or has not ended."""
    if run.status() in FAILED:
        with suppress(DeviceFailed):  # the log cannot be read
            return why_failed(run)
    return run.reason() or ""


def _origin(run: TaskRun, task: Task) -> str:
    """Return why there is this run, if neither a slot nor another run is the reason."""
    if task.kind() is TaskKind.PACKAGING:
        return "packaging of an upload"
    return "as the task runs continuously" if task.kind() is TaskKind.CONTINUOUS else "on request"


def _changes(visit: Visit, run: TaskRun) -> _Changes | None:
    good = Lookup(visit.engine, 0).last_good(run)
    if good is None:
        return None
    try:
        found = good.compare(run)
    except (BadBundle, DeviceFailed) as error:
        return _Changes(good, [], 0, packages_unknown=False, fault=PAGE.spell(error.message))
    has_ended = run.status().is_final
    differences = (one for one in found.differences if not (one.kind == "run" and one.name in _ITS_OUTCOME))
    rows = [difference_texts(one) for one in differences if has_ended or one.kind != "metric"]  # it leaves metrics at its end
    shown = groupby(map(_cut_texts, rows[:_MOST_DIFFERENCES]), key=lambda row: row.kind)
    groups = [(_KINDS[kind], list(group)) for kind, group in shown]
    return _Changes(good, groups, max(0, len(rows) - _MOST_DIFFERENCES), bool(found.packages_unknown))


def _cut_texts(row: DifferenceTexts) -> DifferenceTexts:
    first, second = (None if value is None else cut(value, _VALUE_CHARACTERS) for value in (row.first, row.second))
    return row._replace(name=cut(row.name, _NAME_CHARACTERS), first=first, second=second)


def _kill(visit: Visit) -> Response:
    run = found_run(visit)
    run.kill()
    return see(visit.url(f"/runs/{run.id()}"))


def _rerun(visit: Visit) -> Response:
    run, text = found_run(visit), visit.field("arguments")
    try:
        is_same = "arguments" not in visit.form or text.replace("\r\n", "\n") == arguments_text(run.input_data())
        again = run.rerun(None if is_same else parsed_arguments(text))
    except BadArgument as error:
        response = _page(visit, run, _Rerun(text, PAGE.spell(error.message)))
        response.status_code = 400
        return response
    return see(visit.url(f"/runs/{again.id()}"))


ROUTES = [
    page("/runs/{run_id}", _show),
    action("/runs/{run_id}/kill", _kill),
    action("/runs/{run_id}/rerun", _rerun),
]
