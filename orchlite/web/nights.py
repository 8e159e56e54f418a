"""The start page: what needs a person, and what each task has done in its last nights."""

from __future__ import annotations

from starlette.responses import Response

from orchlite.web.visit import Visit, page


def _show(visit: Visit) -> Response:
    return visit.render("nights.html")


ROUTES = [page("/", _show)]
