"""How lists look in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from orchlite.client.event import Event
from orchlite.core.records import EventRow
from orchlite.core.tables import Table, table_html
from orchlite.operations.integrity import Finding
from orchlite.operations.retention import Pruned
from orchlite.runs.logs import Log, LogLine


class _Thing:
    def __init__(self, *cells: object) -> None:
        self._values = cells

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "<name>")

    def _cells(self) -> Sequence[object]:
        return self._values


def test_a_table_has_a_head_and_a_line_for_each_thing() -> None:
    assert Table([_Thing(1, "a"), _Thing(2, "b")])._repr_html_() == (
        "<table><tr><th>id</th><th>&lt;name&gt;</th></tr><tr><td>1</td><td>a</td></tr><tr><td>2</td><td>b</td></tr></table>"
    )


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        pytest.param("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;", id="a tag"),
        pytest.param("a & b", "a &amp; b", id="an ampersand"),
        pytest.param("\"x' onclick='y", "&quot;x&#x27; onclick=&#x27;y", id="quotes"),
        pytest.param(None, "", id="nothing"),
        pytest.param(0, "0", id="zero"),
        pytest.param(datetime(2026, 1, 2, 3, 4, 5, 678, UTC), "2026-01-02 03:04:05+00:00", id="a time, to the second"),
    ],
)
def test_what_is_shown_is_escaped(cell: object, shown: str) -> None:
    assert table_html(("name",), [(cell,)]) == f"<table><tr><th>name</th></tr><tr><td>{shown}</td></tr></table>"


def test_an_empty_table_says_so() -> None:
    assert Table[_Thing]()._repr_html_() == "(empty)"


def test_a_table_is_a_list() -> None:
    thing = _Thing(1, "a")
    assert Table([thing]) == [thing]
    assert isinstance(Table(), list)
    assert Table([thing])[0] is thing


def test_a_part_of_a_table_is_a_table() -> None:
    table = Table([_Thing(1, "a"), _Thing(2, "b")])
    assert isinstance(table[1:], Table)
    assert table[-1:]._repr_html_() == "<table><tr><th>id</th><th>&lt;name&gt;</th></tr><tr><td>2</td><td>b</td></tr></table>"


_EVENT = Event(EventRow(7, datetime(2026, 1, 1, tzinfo=UTC), "run", "an id", None, "queued", "<why>"))


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        pytest.param(Finding("run", "<id>", "It is lost.", "Look."), "<td>&lt;id&gt;</td>", id="finding"),
        pytest.param(Table([Finding("run", "<id>", "It is lost.", "Look.")]), "<td>&lt;id&gt;</td>", id="findings"),
        pytest.param(Pruned(runs=3, dry_run=True), "<th>dry run</th></tr><tr><td>3</td>", id="pruned"),
        pytest.param(_EVENT, "<td>&lt;why&gt;</td>", id="event"),
    ],
)
def test_what_a_client_answers_is_a_table(thing: Any, shown: str) -> None:
    assert thing._repr_html_().startswith("<table>")
    assert shown in thing._repr_html_()


def test_a_log_is_text_with_its_lines() -> None:
    lines = [LogLine(f"2026-01-01T00:00:00.000000000Z stdout F {text}") for text in ("<b>one</b>", "two")]
    assert Log(lines)._repr_html_() == "<pre>&lt;b&gt;one&lt;/b&gt;\ntwo\n</pre>"
