"""The output of the command line: results on standard output; notes, spinners and errors on standard error.

This is the only importer of rich. A terminal gets colours and animation, unless NO_COLOR is set or TERM is `dumb`. Pipes and files get
plain text that is never cut. Each line is flushed when it is printed, because a program may read it while this one still runs.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from orchlite.core.text import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status as Spinner

_SPINNER_DELAY_SECONDS = 0.4
_GAP = 2
_NARROWEST = 6
_PAGE_WIDTH = 100
_RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")
_COLOURS = re.compile(r"(\x1b\[[0-9;:]*m)")
_NO_COLOURS = "\x1b[0m"
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
_STYLES = {
    **dict.fromkeys(("success", "ready", "started", "deployed", "ok"), "green"),
    **dict.fromkeys(("failure", "timed_out", "unknown", "error", "failed", "crash_loop", "schedule_error", "bad", "refused"), "red"),
    **dict.fromkeys(("running", "packaging"), "cyan"),
    **dict.fromkeys(("queued", "pending", "pending_packaging", "paused", "warning", "skipped"), "yellow"),
    **dict.fromkeys(("killed", "pending_kill"), "magenta"),
}


class Exact(str):
    """A column's title that is printed as it is; others are printed in capitals."""

    __slots__ = ()


class Marks(NamedTuple):
    """One character for each of some runs, in the colour of its status, and a note."""

    characters: str
    statuses: Sequence[str]
    note: str


class Output:
    """What a call of the command line prints, and how."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        """Whether standard output is JSON."""
        self.is_quiet = quiet
        """Whether standard error has errors only."""

    def json(self, value: object) -> None:
        """Print one JSON document."""
        print(json.dumps(value, indent=2, ensure_ascii=False, default=_jsonable), flush=True)

    def json_line(self, value: object) -> None:
        """Print one JSON document on one line, as part of a stream."""
        print(json.dumps(value, ensure_ascii=False, default=_jsonable), flush=True)

    def line(self, text: str) -> None:
        """Print one line of text."""
        print(text, flush=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, wraps: bool = False) -> None:
        """Print a table. On a terminal, long cells are cut or, if it `wraps`, those of the last column wrapped."""
        cells = [[_shown(cell) for cell in row] for row in rows]
        if sys.stdout.isatty():
            _print_table(columns, cells, wraps=wraps)
        else:
            _print_plain(columns, cells)

    def facts(self, facts: Mapping[str, object]) -> None:
        """Print named values, one a line, and each item of a list on its own line. Empty values are left out."""
        known = [(name, value) for name, value in facts.items() if value not in (None, "", [], {})]
        width = max((len(name) for name, _ in known), default=0)
        for name, value in known:
            for text in map(_shown, value if isinstance(value, list) else [value]):
                print(f"{name:<{width}}  {text}", flush=True)
                name = ""

    def heading(self, text: str) -> None:
        """Print the title of the next table."""
        _console(sys.stdout).print(f"\n{text}", style="bold") if is_animated(sys.stdout) else print(f"\n{text}", flush=True)

    def alarm(self, text: str) -> None:
        """Print one line of text that must not be overlooked: in red on a terminal."""
        _console(sys.stdout).print(text, style="bold red", soft_wrap=True) if is_animated(sys.stdout) else print(text, flush=True)

    def page(self, markdown: str) -> None:
        """Print Markdown: formatted on a terminal, through a pager if it is longer than the screen; unchanged into a pipe."""
        if sys.stdout.isatty():
            _print_page(markdown)
        else:
            print(markdown, end="", flush=True)

    def note(self, text: str) -> None:
        """Print a note for the user on standard error, unless `is_quiet`."""
        if not self.is_quiet:
            with suppress(BrokenPipeError):
                print(f"orchlite: {one_line(text)}", file=sys.stderr, flush=True)

    @contextmanager
    def redrawn(self) -> Iterator[Callable[[Callable[[], None]], None]]:
        """Yield a function that shows on the terminal what its argument prints, in place of what it has shown before.

        What is higher than the terminal is cut, except at the end of the block.
        """
        from rich.live import Live
        from rich.text import Text

        with Live(console=_console(sys.stdout), auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

            def show(print_all: Callable[[], None]) -> None:
                with redirect_stdout(_Captured()) as captured:
                    print_all()
                live.update(Text.from_ansi(captured.getvalue(), no_wrap=True, overflow="ellipsis"), refresh=True)

            yield show

    @contextmanager
    def busy(self, text: str) -> Iterator[Busy]:
        """Show a spinner while the block runs, from 0.4 s on."""
        busy = Busy(text, is_shown=is_animated(sys.stderr) and not self.is_quiet)
        try:
            yield busy
        finally:
            busy.end()


class _Captured(io.StringIO):
    """Text that is captured to be shown on the terminal, with its width and colours."""

    def isatty(self) -> bool:
        return True


class Busy:
    """A spinner on standard error, or nothing if that is not a terminal."""

    def __init__(self, text: str, *, is_shown: bool) -> None:
        self._text = text
        self._lock = threading.Lock()
        self._spinner: Spinner | None = None
        self._timer = threading.Timer(_SPINNER_DELAY_SECONDS, self._show)
        self._timer.daemon = True
        if is_shown:
            self._timer.start()

    def update(self, text: str) -> None:
        """Change the text beside the spinner."""
        with self._lock:
            self._text = text
            if self._spinner is not None:
                self._spinner.update(self._line())

    def end(self) -> None:
        """Remove the spinner."""
        self._timer.cancel()
        with self._lock:
            if self._spinner is not None:
                self._spinner.stop()
                self._spinner = None
            self._text = ""  # if the timer is waiting for the lock, it must not show one

    def _show(self) -> None:
        with self._lock:
            if self._text:
                self._spinner = _console(sys.stderr).status(self._line())
                self._spinner.start()

    def _line(self) -> str:
        from rich.markup import escape

        width = max(20, _console(sys.stderr).width - 4)
        text = one_line(self._text)
        return escape(text if len(text) <= width else f"{text[: width - 1]}…")


class Rows:
    """A table that is printed row by row, with column widths that are set before its rows are known."""

    def __init__(self, columns: Sequence[str], sample: Sequence[str]) -> None:
        """Print the header. Columns are as wide as the cells of the sample, and the last one takes the rest."""
        self._width = _console(sys.stdout).width if sys.stdout.isatty() else None
        self._widths = _widths(columns, [sample], self._width or 10_000, wraps=False)
        self.add([_title(column) for column in columns])

    def add(self, cells: Sequence[object]) -> None:
        """Print a row. On a terminal long cells are cut; elsewhere they widen their column, for later rows, too."""
        *texts, last = map(_shown, cells)
        if self._width is None:
            self._widths = [max(width, len(text)) for width, text in zip(self._widths, texts, strict=False)]
        row = [_fitted(text, width) for width, text in zip(self._widths, texts, strict=False)]
        line = (" " * _GAP).join([*row, last]).rstrip()
        print(line if self._width is None else _fitted(line, self._width).rstrip(), flush=True)


def _fitted(text: str, width: int) -> str:
    from rich.cells import set_cell_size

    return set_cell_size(cut_to_cells(text, width), width)


def cut_to_cells(text: str, width: int) -> str:
    """Return the beginning of a text that may have colours, cut to a width in cells of the terminal."""
    from rich.cells import cell_len, set_cell_size

    kept, room = [], width
    pieces = _COLOURS.split(text)
    for plain, colours in zip_longest(pieces[::2], pieces[1::2], fillvalue=""):
        cells = cell_len(plain)
        kept.append(plain if cells <= room else f"{set_cell_size(plain, room - 1)}…" if room > 0 else "")
        kept.append(colours)
        room -= cells
    return "".join(kept) + _NO_COLOURS * (len(pieces) > 1)


def is_animated(stream: TextIO) -> bool:
    """Return whether a stream may have colours and animation."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def can_redraw(stream: TextIO) -> bool:
    """Return whether the cursor of this stream can be moved: it is a terminal that is not `dumb`."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def discard(stream: TextIO) -> None:
    """Redirect a stream whose reader is gone to /dev/null, because the interpreter would complain when it flushes the stream at exit."""
    with suppress(OSError, ValueError):  # ValueError: no descriptor, as in a test
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def time_text(at: datetime | None, zone: str | None = None) -> str:
    """Return a time as text, local or in `zone`, with the zone's abbreviation or offset; None is empty."""
    if at is None:
        return ""
    from orchlite.schedules.zones import in_zone

    there = at.astimezone() if zone is None else in_zone(at, zone)
    # tzname() is the offset for zones without an abbreviation, and may be empty for the local zone.
    return f"{there:%Y-%m-%d %H:%M:%S} {there.tzname() or there.strftime('%z')}"


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Marks):
        return f"{_coloured(cell) if is_animated(sys.stdout) else cell.characters}  {cell.note}"
    if isinstance(cell, datetime):
        return time_text(cell)
    if isinstance(cell, list | tuple):
        return ", ".join(map(_shown, cell))
    if isinstance(cell, dict):
        return one_line(json.dumps(cell, ensure_ascii=False))
    return one_line(str(cell))


def _coloured(marks: Marks) -> str:
    from rich.text import Text

    console = _console(sys.stdout)
    text = Text.assemble(*((mark, _STYLES.get(status, "")) for mark, status in zip(marks.characters, marks.statuses, strict=True)))
    with console.capture() as captured:
        console.print(text, end="", soft_wrap=True)
    return captured.get()


def _jsonable(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _title(column: str) -> str:
    return column if isinstance(column, Exact) else column.upper()


def _print_plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [[_title(column) for column in columns], *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, wraps: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    console = _console(sys.stdout)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, width in zip(columns, _widths(columns, rows, console.width, wraps=wraps), strict=True):
        folds = wraps and column is columns[-1]
        table.add_column(_title(column), width=width, no_wrap=not folds, overflow="fold" if folds else "ellipsis")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(table)


def _print_page(markdown: str) -> None:
    import click
    from rich.markdown import Markdown
    from rich.theme import Theme

    console = _console(sys.stdout)
    text = _RELATIVE_LINK.sub(r"**\1**", markdown)  # a terminal cannot follow it
    # The terminal's own background, which rich would paint black behind code.
    with console.use_theme(Theme({"markdown.code": "cyan"})), console.capture() as formatted:
        page = Markdown(text, code_theme="ansi_dark", hyperlinks=False)
        console.print(page, width=min(console.width, _PAGE_WIDTH))
    os.environ.setdefault("LESS", "-FRX")  # as git does: colours pass, and a short page needs no key
    has_keyboard = sys.stdin is not None and sys.stdin.isatty()
    # Without a keyboard there is no pager, and click would take the colours away.
    click.echo_via_pager(formatted.get(), color=None if has_keyboard else True)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], console_width: int, *, wraps: bool) -> list[int]:
    """Return the widths of columns: of the widest cell, if they fit. The first column and ids are never cut, times last."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    room = console_width - _GAP * (len(columns) - 1)
    times = {place for place in range(1, len(columns)) if any(_TIME.match(row[place]) for row in rows)}
    while sum(widths) > room:
        wide = [place for place in range(1, len(columns)) if widths[place] > _NARROWEST and columns[place] != "id"]
        if not wide or (wraps and len(columns) - 1 not in wide):
            break
        widest = max(set(wide) - times or wide, key=widths.__getitem__)
        widths[-1 if wraps else widest] -= 1
    return widths


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    animated = is_animated(stream)
    return Console(
        file=stream,
        color_system="auto" if animated else None,
        no_color=not animated,
        highlight=False,
        markup=stream is sys.stderr,
        emoji=False,
    )
