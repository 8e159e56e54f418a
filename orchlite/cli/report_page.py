"""The report as one HTML page for a mail: no script, nothing from elsewhere, tables with inline styles, every text escaped.

Mail programs drop style sheets and SVG, so charts are characters. The colours are legible on a light and on a dark background.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from orchlite.cli.health import alarm_texts
from orchlite.cli.output import time_text
from orchlite.client.failures import plain_line
from orchlite.client.report import Report, TaskReport
from orchlite.client.task import Task
from orchlite.client.task_run import TaskRun
from orchlite.core.durations import seconds_text
from orchlite.core.sparklines import sparkline
from orchlite.core.status import FAILED
from orchlite.core.text import counted, number_text, short_id

_RED, _AMBER, _GREY = "#d73a35", "#b5720b", "#808080"
_MOST_TASKS = 100
_MOST_LOGS = 20
_LOG_LINES = 6
_LOG_CHARACTERS = 300
_CELL = f"padding:8px 12px 8px 0;border-top:1px solid {_GREY};vertical-align:top;text-align:left"
_CHART = "font-family:monospace;overflow-wrap:anywhere"
_LOG = f"margin:0;padding:6px 0 6px 10px;border-left:3px solid {_RED};font:12px/1.4 monospace;white-space:pre-wrap;overflow-wrap:anywhere"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
</head>
<body style="margin:0 auto;padding:16px;max-width:900px;font:14px/1.45 -apple-system,'Segoe UI',Roboto,Arial,sans-serif">
{content}
</body>
</html>
"""


def report_page(report: Report, store: Path) -> str:
    """Return the page."""
    failed = sum(task.failed for task in report.tasks)
    runs = sum(len(task.runs) for task in report.tasks)
    summary = f"{counted(runs, 'run')}, {failed or 'none'} failed"
    content = "\n".join(
        [
            f'<h1 style="font-size:20px;margin:0 0 4px">{escape(summary)}</h1>',
            _small(f"{time_text(report.since)} to {time_text(report.until)}, {store}"),
            *(f'<p style="margin:12px 0;color:{_RED};font-weight:bold">{escape(text)}</p>' for text in alarm_texts(report.health)),
            *_tasks(report.tasks),
            *_packaging(report),
            *_due(report),
        ]
    )
    return _PAGE.format(title=escape(f"orchlite: {summary}"), content=content)


def _tasks(tasks: Sequence[TaskReport]) -> Iterator[str]:
    shown = [task for place, task in enumerate(tasks) if task.failed or place < _MOST_TASKS]
    if not shown:
        yield "<p>Nothing has run, and nothing is scheduled.</p>"
        return
    yield from _heading("Tasks")
    logs = 0
    rows: list[Sequence[str]] = []
    for task in shown:
        rows.append((_what(task), _outcomes(task), _durations(task)))
        if task.last_failure is not None:
            rows.append((_failure(task.last_failure, with_log=logs < _MOST_LOGS),))
            logs += 1
    yield _table(rows)
    if len(tasks) > len(shown):
        yield _small(f"and {counted(len(tasks) - len(shown), 'task')} that did not fail")


def _what(one: TaskReport) -> str:
    task = one.task
    when = f"{task.schedule()} {task.timezone()}" if task.schedule() else str(task.kind())
    state = "" if task.status() == "started" else f", {task.status()}"
    several = f", {one.tasks} tasks" if one.tasks > 1 else ""
    runs = one.orchestration.name() or one.orchestration.file_name()
    return f"<b>{escape(one.title)}</b>{_small(f'{when}{state}{several}')}{_small(f'runs {runs} ({short_id(one.orchestration.id())})')}"


def _outcomes(one: TaskReport) -> str:
    colours = dict.fromkeys(FAILED, _RED)
    counts = [_coloured(f"{count} {status}", colours.get(status)) for status, count in sorted(one.outcomes.items())]
    notes = [(one.tried_again, "tried again"), (one.late, "late"), (one.skipped, "missed or skipped")]
    counts += [_coloured(f"{count} {text}", _AMBER) for count, text in notes if count]
    return "<br>".join(counts) or _coloured("no runs", _GREY)


def _durations(one: TaskReport) -> str:
    if not one.runs:
        return ""
    times = [f"median {seconds_text(one.median_seconds)}, longest {seconds_text(one.longest_seconds)}"] if one.durations else []
    metrics = [_metric_text(name, *summary) for name, summary in one.metrics.items()]
    return f'<div style="{_CHART}">{_chart(one)}</div>{"".join(map(_small, times + metrics))}'


def _metric_text(name: str, newest: float, lowest: float, highest: float) -> str:
    between = f" ({number_text(lowest)} to {number_text(highest)})" if lowest < highest else ""
    return f"{name} {number_text(newest)}{between}"


def _chart(one: TaskReport) -> str:
    """Return a chart of the durations of the newest runs, failed ones in red."""
    characters = sparkline([run.duration_seconds for run in one.recent])
    columns = groupby(zip(characters, one.recent, strict=True), key=lambda column: column[1].status in FAILED)
    return "".join(_coloured("".join(character for character, _ in group), _RED if failed else None) for failed, group in columns)


def _failure(run: TaskRun, *, with_log: bool) -> str:
    code = f" with exit code {run.exit_code()}" if run.exit_code() else ""
    why = f": {run.reason()}" if run.reason() else ""
    what = _coloured(f"{run.status()}{code} at {time_text(run.ended_at())}, run {short_id(run.id())}{why}", _RED)
    lines = [_plain(line.text) for line in run.logs(_LOG_LINES)] if with_log else []
    return f'{what}<pre style="{_LOG}">{escape(chr(10).join(lines))}</pre>' if lines else what


def _plain(text: str) -> str:
    """Return the last state of a line of a log, without control sequences, cut."""
    shown = plain_line(text)
    return shown if len(shown) <= _LOG_CHARACTERS else f"{shown[:_LOG_CHARACTERS]}…"


def _packaging(report: Report) -> Iterator[str]:
    if report.health.packaging_failed:
        yield from _heading("Packaging failed")
        rows = [
            (failure.orchestration.name() or short_id(failure.orchestration.id()), failure.run)
            for failure in report.health.packaging_failed
        ]
        yield _table([(f"<b>{escape(name)}</b>", _coloured((run.reason() or "").partition("\n")[0], _RED)) for name, run in rows])


def _due(report: Report) -> Iterator[str]:
    if report.due:
        yield from _heading("Due next")
        yield _table([_due_cells(task, is_overdue=task in report.health.overdue) for task in report.due])


def _due_cells(task: Task, *, is_overdue: bool) -> tuple[str, str]:
    at = time_text(task.next_run_at(), task.timezone())
    return escape(task.name() or short_id(task.id())), _coloured(f"{at}, overdue", _RED) if is_overdue else escape(at)


def _heading(text: str) -> Iterator[str]:
    yield f'<h2 style="font-size:16px;margin:24px 0 8px">{escape(text)}</h2>'


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are HTML. A row of one cell continues the one above it, over the whole width."""
    width = max(map(len, rows))
    lines = (_wide_row(row[0], width) if len(row) == 1 < width else _row(row) for row in rows)
    return (
        f'<table role="presentation" cellspacing="0" cellpadding="0" style="width:100%;border-collapse:collapse">{"".join(lines)}</table>'
    )


def _row(cells: Sequence[str]) -> str:
    columns = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
    return f"<tr>{columns}</tr>\n"


def _wide_row(cell: str, width: int) -> str:
    return f'<tr><td colspan="{width}" style="padding:0 0 10px">{cell}</td></tr>\n'


def _small(text: str) -> str:
    return f'<div style="font-size:12px;color:{_GREY}">{escape(text)}</div>'


def _coloured(text: str, colour: str | None) -> str:
    return escape(text) if colour is None else f'<span style="color:{colour}">{escape(text)}</span>'
