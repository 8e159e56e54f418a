"""The pages of orchestrations: their names, and one upload with what it contains, installed, warned of and runs."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

from starlette.responses import FileResponse, Response

from orchlite.client.failures import plain_line
from orchlite.client.orchestration import Orchestration
from orchlite.core.download_names import download_name
from orchlite.core.errors import NotFound, OrchliteError
from orchlite.core.records import OrchestrationRow, TaskRow
from orchlite.operations.bundle_contents import contents
from orchlite.web.language import PAGE
from orchlite.web.visible import cut
from orchlite.web.visit import Visit, page

_PAGE_ROWS = 50
_MOST_VERSIONS = 50
_MOST_TASKS = 100
_MOST_RUNS = 8
_MOST_FILES = 300
_MOST_LINES = 300
_LOG_LINES = 30
_LINE_CHARACTERS = 500


class Version(NamedTuple):
    """One upload of a name, and the tasks that run it now."""

    row: OrchestrationRow
    tasks: Sequence[TaskRow]


def _list(visit: Visit) -> Response:
    words, number = visit.query("q"), max(1, visit.number("page", 1))
    catalogue, workspace_id = visit.engine.store.catalogue, visit.workspace_id
    count = catalogue.count_names(workspace_id, words)
    return visit.render(
        "orchestrations.html",
        names=catalogue.names(workspace_id, words, _PAGE_ROWS, (number - 1) * _PAGE_ROWS),
        tasks=catalogue.count_tasks(workspace_id),
        count=count,
        words=words,
        page_number=number,
        last_page=ceil(count / _PAGE_ROWS),
        limit_bytes=visit.engine.context.settings.limits.upload_bytes,
    )


def _show(visit: Visit) -> Response:
    one = _orchestration(visit)
    packaging = next(iter(one.task().last_runs(1)), None)
    runs = visit.client.list_runs(task=one, limit=_MOST_RUNS)
    return visit.render(
        "orchestration.html",
        one=one,
        row=visit.engine.store.orchestrations.get(one.id()),
        requirements=[cut(line, _LINE_CHARACTERS) for line in one.requirements()[:_MOST_LINES]],
        installed=one.installed()[:_MOST_LINES],
        versions=_versions(visit, one),
        runs=runs,
        task_names={task.task_id: task.name for task in visit.engine.store.tasks.of_ids(list({run.task() for run in runs}))},
        packaging=packaging,
        packaging_log=[] if packaging is None else [cut(plain_line(line.text), _LINE_CHARACTERS) for line in packaging.logs(_LOG_LINES)],
        **_contents(visit, one),
    )


def _orchestration(visit: Visit) -> Orchestration:
    return visit.client.get_orchestration_by_id(visit.request.path_params["orchestration_id"])


def _versions(visit: Visit, one: Orchestration) -> list[Version]:
    """Return the newest uploads of the name, the newest first, and this one."""
    store, name = visit.engine.store, one.name()
    ids = [one.id()] if name is None else store.catalogue.versions(one.workspace_id(), name, _MOST_VERSIONS)
    ids += [] if one.id() in ids else [one.id()]
    tasks = store.tasks.of_ids(store.catalogue.task_ids(ids, _MOST_TASKS))
    return [Version(store.orchestrations.get(each), [task for task in tasks if task.orchestration_id == each]) for each in ids]


def _contents(visit: Visit, one: Orchestration) -> dict[str, Any]:
    row = visit.engine.store.orchestrations.get(one.id())
    try:
        found = contents(visit.engine.context, row)
    except OrchliteError as error:
        return {"files": [], "file_count": 0, "program": None, "unreadable": PAGE.spell(error.message)}
    return {"files": found.files[:_MOST_FILES], "file_count": len(found.files), "program": found, "unreadable": ""}


def _download(visit: Visit) -> Response:
    row = visit.engine.store.orchestrations.get(_orchestration(visit).id())
    path = visit.engine.context.bundles.path(row.sha)
    if not path.is_file():
        raise NotFound(f"The bundle of orchestration {row.orchestration_id} is missing.", hint="Upload the same bytes again.")
    return FileResponse(path, media_type="application/octet-stream", filename=download_name(row.file_name, row.sha))


ROUTES = [
    page("/orchestrations", _list),
    page("/orchestrations/{orchestration_id}", _show),
    page("/orchestrations/{orchestration_id}/bundle", _download),
]
