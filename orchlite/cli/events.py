"""The verb `events`: the history of a store, and what is happening now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import click

from orchlite.cli.json_models import event_json
from orchlite.cli.lists import Names, open_store
from orchlite.cli.options import Moment, Verb
from orchlite.cli.output import Output, Rows, time_text
from orchlite.core.clock import SystemClock
from orchlite.core.errors import NotFound
from orchlite.core.text import short_id

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.event import Event

_DEFAULT_COUNT = 20
_POLL_SECONDS = 0.2
_COLUMNS = ("at", "what", "id", "name", "was", "became", "why")
_SAMPLE_CELLS = ("orchestration", "0" * 8, "a name of a task", "pending_packaging", "pending_packaging", "")
"""Cells of typical width after the time: the widths of columns are set before the events that follow are known."""


@click.command(cls=Verb, anywhere=True, short_help="Show the history of the store.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=0),
    metavar="N",
    help="Number of the newest to show; 0 shows all.  [default: 20, or all with --since]",
)
@click.option("--since", type=Moment(), help="Show only newer events: 10m, 2d, or 2026-03-01T14:00.")
@click.option("--follow", "-f", is_flag=True, help="Continue with new events until Ctrl-C.")
def events(count: int | None, since: datetime | None, follow: bool) -> None:
    """Show every change of a status and everything created or deleted, with the reason, in all workspaces, oldest first.

    --json prints a list; with --follow, one object per line.
    """
    with open_store() as (client, out):
        printer = _Printer(client, out)
        if follow:
            printer.print_each(_following(client, count, since))
        else:
            printer.print_all(_newest(client, count, since))


def _newest(client: Client, count: int | None, since: datetime | None) -> Sequence[Event]:
    limit = _DEFAULT_COUNT if count is None and since is None else count or None
    return client.events(since, limit=limit, newest_first=True)[::-1]


def _following(client: Client, count: int | None, since: datetime | None) -> Iterator[Event]:
    """Yield the newest events, and then new ones, forever."""
    last = max((event.id() for event in client.events(limit=1, newest_first=True)), default=0)
    for event in _newest(client, count, since):
        yield event
        last = max(last, event.id())
    while True:
        for event in client.events(last):
            yield event
            last = event.id()
        time.sleep(_POLL_SECONDS)


class _Printer:
    """Prints events as text or JSON."""

    def __init__(self, client: Client, out: Output) -> None:
        self._names = Names(client)
        self._out = out

    def print_all(self, found: Sequence[Event]) -> None:
        """Print events as one table or list."""
        if self._out.as_json:
            self._out.json([event_json(event) for event in found])
        elif found:
            self._out.table(_COLUMNS, [self._cells(event) for event in found])
        else:
            self._out.note("none found")

    def print_each(self, found: Iterator[Event]) -> None:
        """Print events one by one, as they arrive."""
        if self._out.as_json:
            for event in found:
                self._out.json_line(event_json(event))
            return
        rows = Rows(_COLUMNS, (time_text(SystemClock().now()), *_SAMPLE_CELLS))
        for event in found:
            rows.add(self._cells(event))

    def _cells(self, event: Event) -> tuple[str, ...]:
        why = (event.reason() or "").partition("\n")[0]
        return (time_text(event.at()), event.kind(), short_id(event.object_id()), self._name(event), event.was() or "", event.became(), why)

    def _name(self, event: Event) -> str:
        """Return the name of the orchestration, of the task, or of the run's task; empty if it has been removed."""
        with suppress(NotFound):
            if event.kind() == "orchestration":
                return self._names.orchestration(event.object_id())
            if event.kind() == "task":
                return self._names.task(event.object_id())
            if event.kind() == "run":
                return self._names.run(event.object_id())
        return ""
