"""Tables of handles, which a notebook shows as HTML. Cells are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Generic, Protocol, SupportsIndex, TypeVar, overload


class Tabular(Protocol):
    """A handle that has a row in a table."""

    @staticmethod
    def _columns() -> Sequence[str]: ...

    def _cells(self) -> Sequence[object]: ...


Item = TypeVar("Item", bound=Tabular)


class Table(list[Item], Generic[Item]):
    """A list that a notebook shows as a table, as in the platform's SDK. Its slices are tables, too."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Table[Item]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Item | Table[Item]:
        return type(self)(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def _repr_html_(self) -> str:
        return table_html(self[0]._columns(), [item._cells() for item in self]) if self else "(empty)"


def table_html(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return an HTML table. Cells are converted to strings and escaped; None is empty, times are shown to the second."""
    lines = [_line("th", columns), *(_line("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def preformatted(text: str) -> str:
    """Return a text as HTML that keeps its lines; empty for an empty one."""
    import html

    return f"<pre>{html.escape(text)}</pre>" if text else ""


def _line(tag: str, values: Sequence[object]) -> str:
    import html

    cells = "".join(f"<{tag}>{html.escape(_text(value))}</{tag}>" for value in values)
    return f"<tr>{cells}</tr>"


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat(" ", "seconds") if isinstance(value, datetime) else str(value)
