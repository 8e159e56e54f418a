"""The page of the store's health: what `doctor` says, what takes up space on disk, and what `prune` would remove."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from starlette.responses import Response

from orchlite.client.client import Client, engine_of
from orchlite.client.doctor import BAD, OK, WARNING, Check, checks
from orchlite.client.health import keeping
from orchlite.core.settings import Retention
from orchlite.engine.examination import Examination
from orchlite.operations.disk_use import DiskUse, measure
from orchlite.operations.retention import Pruned
from orchlite.web.language import PAGE
from orchlite.web.visit import Visit, action, back, page

_MEASURED_SECONDS = 60.0
_SHOWN_USES = 50
_SOON_SECONDS, _LONG_SECONDS = 3, 15
_ORDER = (BAD, WARNING, OK)


class Examinations(NamedTuple):
    """What the page examines in the background."""

    machine: Examination[Sequence[Check]]
    disk: Examination[DiskUse]
    prune: Examination[Pruned]
    store: Examination[Sequence[Check]]
    """Last, because it reads everything."""


def examinations(client: Client) -> Examinations:
    """Return the examinations of a client's store; none was started."""
    context = engine_of(client).context
    return Examinations(
        Examination(lambda: _checks(client, of_store=False), context.clock.now),
        Examination(lambda: measure(context, _MEASURED_SECONDS), context.clock.now),
        Examination(lambda: client.prune(dry_run=True), context.clock.now),
        Examination(lambda: _checks(client, of_store=True), context.clock.now),
    )


def _checks(client: Client, *, of_store: bool) -> list[Check]:
    """Return what the check of the store has found, or all others, what is bad first."""
    wanted = [check for name, check in checks(engine_of(client).context.folder, client).items() if (name == "store") is of_store]
    found = [result for check in wanted for result in check()]
    return sorted((one._replace(words=PAGE.spell(one.words)) for one in found), key=lambda one: _ORDER.index(one.state))


def _show(visit: Visit) -> Response:
    known: Examinations = visit.request.app.state.examinations
    for each in known:
        each.start_if_unknown()
    settings = visit.engine.context.settings
    return visit.render(
        "health.html",
        known=known,
        spelled=PAGE.spell,
        refresh_seconds=_refresh_seconds(known, visit.now),
        keeping=keeping(visit.engine),
        shown_uses=_SHOWN_USES,
        retention=settings.retention or Retention(),
        prunes_daily=settings.retention is not None,
    )


def _refresh_seconds(known: Examinations, now: datetime) -> int:
    """Return after how long the page shows more; 0 if nothing is being examined."""
    since = [each.started_at for each in known if each.started_at is not None]
    if not since:
        return 0
    return _SOON_SECONDS if (now - min(since)).total_seconds() < _LONG_SECONDS else _LONG_SECONDS


def _examine(visit: Visit) -> Response:
    known: Examinations = visit.request.app.state.examinations
    if visit.request.path_params["name"] in Examinations._fields:
        getattr(known, visit.request.path_params["name"]).start()
    return back(visit, "/health")


ROUTES = [page("/health", _show), action("/health/{name}", _examine)]
