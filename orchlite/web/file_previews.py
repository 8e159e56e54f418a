"""What is shown of a file that a run made: a picture, a table, JSON, or text. Pure: the beginning of a file in, texts out.

What a file is, its content decides: a name can say anything.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from orchlite.web.visible import cut, escaped_json, visible, visible_lines

READ_BYTES = 64 * 1024
"""How much of a file a preview needs."""
PICTURE_BYTES = 20 * 1024 * 1024
"""The largest picture that is shown."""
_ROWS = 200
_COLUMNS = 40
_CELL_CHARACTERS = 200
_SHOWN_BYTES = 32 * 1024
"""How much of a text is shown, which escaping may make several times as long."""
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_PICTURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
# Comments are atomic groups: otherwise one could extend over those that follow it, in exponentially many ways.
_COMMENTS = rb"(?:(?><!--.*?-->)\s*)*+"
_SVG = re.compile(rb"\s*+(?:<\?xml[^>]*+>\s*)?" + _COMMENTS + rb"(?:<!DOCTYPE[^>]*+>\s*)?" + _COMMENTS + rb"<svg[\s>]", re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_MOST_DEPTH = 40


class Preview(NamedTuple):
    """What is shown of a file."""

    kind: Literal["picture", "table", "text", "nothing"]
    media_type: str = ""
    """Of a picture."""
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    is_cut: bool = False
    """Whether it is the beginning only."""


def preview(name: str, start: bytes, size_bytes: int) -> Preview:
    """Return the preview of a file from its first bytes: `READ_BYTES` of them, or all."""
    if (media_type := picture_type(start)) is not None:
        return Preview("picture", media_type) if size_bytes <= PICTURE_BYTES else Preview("nothing")
    is_cut = size_bytes > len(start)
    if (text := _decoded(start, is_cut=is_cut)) is None:
        return Preview("nothing")
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    if suffix in _SEPARATORS and (table := _table(text, _SEPARATORS[suffix], is_cut=is_cut)) is not None:
        return table
    if suffix in (".json", ".ipynb", ".geojson") and not is_cut and (indented := _indented(text)) is not None:
        return _text(escaped_json(indented), is_cut=False)
    return _text(text, is_cut=is_cut)


def picture_type(start: bytes) -> str | None:
    """Return the media type of a picture that browsers show; None if it is something else."""
    for magic, media_type in _PICTURES:
        if start.startswith(magic):
            return media_type
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    return "image/svg+xml" if _SVG.match(start[:4096].removeprefix(b"\xef\xbb\xbf")) else None


def _decoded(start: bytes, *, is_cut: bool) -> str | None:
    """Return the text; None if it is none."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return start[: len(start) // 2 * 2].decode("utf-16", "replace")
    if b"\0" in start:
        return None
    data = start.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if is_cut and error.start >= len(data) - 3:  # the last character is cut
            return data[: error.start].decode()
    text = data.decode("utf-8", "replace")
    return text if text.count("\ufffd") * 20 < len(text) else None


def _text(text: str, *, is_cut: bool) -> Preview:
    shown = _beginning(text)
    return Preview("text", text=visible_lines(shown), is_cut=is_cut or len(shown) < len(text))


def _beginning(text: str) -> str:
    return text.encode("utf-8", "replace")[:_SHOWN_BYTES].decode("utf-8", "ignore")


def _table(text: str, separator: str, *, is_cut: bool) -> Preview | None:
    """Return the first rows as a table; None if the text is no table. The first row has the names of the columns."""
    beginning = _beginning(text)
    is_cut = is_cut or len(beginning) < len(text)
    lines = beginning.splitlines(keepends=True)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines[:-1] if is_cut and len(lines) > 1 else lines, delimiter=separator):
            if len(rows) > _ROWS:
                is_cut = True
                break
            rows += [row] if row else []
    except csv.Error:
        return None
    width = max(map(len, rows), default=0)
    if width < 2 and len(rows) < 2:
        return None
    header, *body = ([_cell(cell) for cell in row[:_COLUMNS]] for row in rows)
    return Preview("table", header=header, rows=body, is_cut=is_cut or width > _COLUMNS)


def _cell(text: str) -> str:
    return visible(cut(text, _CELL_CHARACTERS))


def _indented(text: str) -> str | None:
    """Return a JSON text with a line for each value; None if it is not JSON. Numbers, names and their order stay as they were written."""
    try:
        json.loads(text, parse_int=float)  # an integer of any length
    except (ValueError, RecursionError):
        return None
    return "".join(_laid_out(_TOKEN.findall(text)))


def _laid_out(parts: Sequence[str]) -> Iterator[str]:
    depth = 0
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        if part in ("]", "}"):
            depth -= 1
        yield part
        if part in ("[", "{"):
            depth += 1
        if (part in ("[", "{", ",")) != (following in ("]", "}")):
            yield f"\n{'  ' * min(depth - (following in (']', '}')), _MOST_DEPTH)}" if following else ""
        elif part == ":":
            yield " "
