"""The page of the store's health: what `doctor` says, what takes up space on disk, and what `prune` would remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import Response

from orchlite.client.client import Client, engine_of
from orchlite.client.doctor import BAD, OK, WARNING, Check, checks
from orchlite.core.settings import Retention
from orchlite.operations import liveness
from orchlite.operations.disk_use import DiskUse, measure
from orchlite.operations.retention import Pruned
from orchlite.web.examination import Examination
from orchlite.web.language import PAGE
from orchlite.web.visit import Visit, action, back, page

_MEASURED_SECONDS = 60.0
_SHOWN_USES = 50
_ORDER = (BAD, WARNING, OK)


class Examinations(NamedTuple):
    """What the page examines in the background."""

    doctor: Examination[Sequence[Check]]
    disk: Examination[DiskUse]
    prune: Examination[Pruned]


def examinations(client: Client) -> Examinations:
    """Return the examinations of a client's store; none was started."""
    context = engine_of(client).context
    return Examinations(
        Examination(lambda: _doctor(client), context.clock.now),
        Examination(lambda: measure(context, _MEASURED_SECONDS), context.clock.now),
        Examination(lambda: client.prune(dry_run=True), context.clock.now),
    )


def _doctor(client: Client) -> list[Check]:
    """Return what all checks found, what is bad first."""
    found = [result for check in checks(engine_of(client).context.folder, client).values() for result in check()]
    return sorted((one._replace(words=PAGE.spell(one.words)) for one in found), key=lambda one: _ORDER.index(one.state))


def _show(visit: Visit) -> Response:
    known: Examinations = visit.request.app.state.examinations
    for each in known:
        each.start_if_unknown()
    settings = visit.engine.context.settings
    return visit.render(
        "health.html",
        known=known,
        is_examining=any(each.is_running for each in known),
        signs=liveness.signs_of_life(visit.engine.context.folder.hosts),
        recurring=visit.engine.store.lookups.count_recurring(),
        shown_uses=_SHOWN_USES,
        workspace_names={one.id(): one.name() for one in visit.client.list_workspaces()},
        retention=settings.retention or Retention(),
        prunes_daily=settings.retention is not None,
    )


def _examine(visit: Visit) -> Response:
    known: Examinations = visit.request.app.state.examinations
    if visit.request.path_params["name"] in Examinations._fields:
        getattr(known, visit.request.path_params["name"]).start()
    return back(visit, "/health")


ROUTES = [page("/health", _show), action("/health/{name}", _examine)]
