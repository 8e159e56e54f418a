"""The verb `events`: what happened in a store, and what is happening."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import click

from orchlite.cli.json_models import event_shape
from orchlite.cli.lists import Names, looking
from orchlite.cli.lookup import search_of
from orchlite.cli.options import Moment, Verb
from orchlite.cli.output import Output, Rows, short, time_text
from orchlite.core.clock import SystemClock
from orchlite.core.errors import NotFound

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.event import Event

_USUAL = 20
_LOOK_SECONDS = 0.2
_COLUMNS = ("at", "what", "id", "name", "was", "became", "why")
_USUAL_CELLS = ("orchestration", "0" * 8, "a name of a task", "pending_packaging", "pending_packaging", "")
"""As wide, behind the time, as cells of events usually are: while they are followed, nobody knows yet which will come."""


@click.command(cls=Verb, short_help="Show what happened in the store.")
@click.option("-n", "count", type=click.IntRange(min=0), help="The newest so many; 20 unless --since is given, 0 for all.")
@click.option("--since", type=Moment(), help="Only what is newer: 10m, 2d, or 2026-03-01T14:00.")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C, with what happens meanwhile.")
def events(count: int | None, since: datetime | None, follow: bool) -> None:
    """Show what happened to what, when and why, in every workspace, oldest first: each change of a status, and what was made or deleted.

    With --json, a list; with --follow besides, one object a line.
    """
    with looking() as (client, out):
        told = _Telling(client, out)
        if follow:
            told.each(_following(client, count, since))
        else:
            told.all(_newest(client, count, since))


def _newest(client: Client, count: int | None, since: datetime | None) -> Sequence[Event]:
    if since is None and count != 0:
        return search_of(client).newest_events(count or _USUAL)
    return client.events(since)[-(count or 0) :]


def _following(client: Client, count: int | None, since: datetime | None) -> Iterator[Event]:
    """These, and all that happens after them."""
    last = max((event.id() for event in search_of(client).newest_events(1)), default=0)
    for event in _newest(client, count, since):
        yield event
        last = max(last, event.id())
    while True:
        for event in client.events(last):
            yield event
            last = event.id()
        time.sleep(_LOOK_SECONDS)


class _Telling:
    """Says what happened, for a person or for a program."""

    def __init__(self, client: Client, out: Output) -> None:
        self._names = Names(client)
        self._out = out

    def all(self, found: Sequence[Event]) -> None:
        """Print them as one table or list."""
        if self._out.as_json:
            self._out.json([event_shape(event) for event in found])
        elif found:
            self._out.table(_COLUMNS, [self._cells(event) for event in found])
        else:
            self._out.note("there are none")

    def each(self, found: Iterator[Event]) -> None:
        """Print them one by one, as they come."""
        if self._out.as_json:
            for event in found:
                self._out.json_line(event_shape(event))
            return
        rows = Rows(_COLUMNS, (time_text(SystemClock().now()), *_USUAL_CELLS))
        for event in found:
            rows.add(self._cells(event))

    def _cells(self, event: Event) -> tuple[str, ...]:
        why = (event.reason() or "").partition("\n")[0]
        return (time_text(event.at()), event.kind(), short(event.object_id()), self._name(event), event.was() or "", event.became(), why)

    def _name(self, event: Event) -> str:
        """Of an orchestration, or of what a task or a run runs; nothing where it was removed since."""
        with suppress(NotFound):
            if event.kind() == "orchestration":
                return self._names.orchestration(event.object_id())
            if event.kind() == "task":
                return self._names.task(event.object_id())
            if event.kind() == "run":
                return self._names.run(event.object_id())
        return ""
