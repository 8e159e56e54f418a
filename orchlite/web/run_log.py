"""The log of a run: its end, and from there the rest, a screen at a time. Each screen is a page of its own, and a part of the run's page.

While a run is followed, the browser asks every second for what is new. A stream would hold one of its six connections to the server.
"""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import HTMLResponse, Response, StreamingResponse

from orchlite.client.run_log import EMPTY, LogRow, LogWindow, RunLog, parsed_place
from orchlite.client.task_run import TaskRun
from orchlite.core.errors import DeviceFailed
from orchlite.web.found_runs import found_run
from orchlite.web.language import PAGE
from orchlite.web.log_html import row_html
from orchlite.web.rendering import rendered
from orchlite.web.visit import Visit, page

_MOST_WORDS = 200


class ShownLog(NamedTuple):
    """One screen of a log, with what leads to others."""

    run_id: str
    address: str
    window: LogWindow
    size_bytes: int
    is_live: bool
    """Whether more may come."""
    words: str = ""
    """What was searched for."""
    message: str = ""
    replaces: bool = False
    """Whether it is no continuation of the screen before it."""

    def row(self, row: LogRow) -> str:
        """Return the HTML of a row."""
        return row_html(row.text, self.words)


def shown_log(visit: Visit, run: TaskRun) -> ShownLog:
    """Return the screen that the address asks for; the end by default."""
    log, words, address = RunLog(run), visit.query("q")[:_MOST_WORDS], f"/runs/{run.id()}/log"
    try:
        window, message = _searched(visit, log, words) if words else _window(visit, log)
        return ShownLog(run.id(), address, window, log.size_bytes(), not log.has_ended, words, message)
    except DeviceFailed as error:
        return ShownLog(run.id(), address, EMPTY, 0, is_live=False, words=words, message=PAGE.spell(error.message))


def _window(visit: Visit, log: RunLog) -> tuple[LogWindow, str]:
    if (place := parsed_place(visit.query("before"))) is not None:
        return log.before(place), ""
    if (place := parsed_place(visit.query("after"))) is not None:
        return log.after(place), ""
    match visit.query("at"):
        case "start":
            return log.start(), ""
        case "traceback":
            found = log.last_traceback()
            return (log.end(), "The log has no traceback.") if found is None else (log.around(found), "")
    return log.end(), ""


def _searched(visit: Visit, log: RunLog, words: str) -> tuple[LogWindow, str]:
    place = parsed_place(visit.query("from"))
    if visit.query("find") == "later":
        found, nothing = log.later(words, place), "Nothing later"
    else:
        found, nothing = log.earlier(words, place) if place else log.earlier(words), "Nothing earlier"
    if found is not None:
        return log.around(found), ""
    if place is not None:
        return log.around(place), f"{nothing} has “{words}”."
    return log.end(), f"The log does not have “{words}”."


def _show(visit: Visit) -> Response:
    run = found_run(visit)
    log = shown_log(visit, run)
    if visit.query("part"):
        return HTMLResponse(rendered("log_part.html", log=log, visit=visit))
    return visit.render("log.html", run=run, log=log)


def _follow(visit: Visit) -> Response:
    """Return what is new since a screen, for a reader who sees the end; 204 if nothing is."""
    run = found_run(visit)
    log, place = RunLog(run), parsed_place(visit.query("after"))
    is_live, address = not log.has_ended, f"/runs/{run.id()}/log"
    if place is None or log.is_far_behind(place):
        shown = ShownLog(run.id(), address, log.end(), log.size_bytes(), is_live, replaces=True)
    else:
        window = log.after(place)
        if is_live and not window.rows and not window.unsettled:
            return Response(status_code=204)
        shown = ShownLog(run.id(), address, window, log.size_bytes(), is_live)
    return HTMLResponse(rendered("log_part.html", log=shown, visit=visit))


def _download(visit: Visit) -> Response:
    """Return the whole log as text, without times, as `orchlite logs --raw` prints it."""
    run = found_run(visit)
    headers = {
        "Content-Disposition": f'attachment; filename="{run.id()[:8]}.log"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return StreamingResponse(RunLog(run).texts(), media_type="text/plain; charset=utf-8", headers=headers)


ROUTES = [
    page("/runs/{run_id}/log", _show),
    page("/runs/{run_id}/log/new", _follow),
    page("/runs/{run_id}/log/text", _download),
]
