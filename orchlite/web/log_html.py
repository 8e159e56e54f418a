"""The rows of a log as HTML: colours become classes, whatever else a program wrote is text. Pure.

A program's output can hold what its input held. Nothing of it may become markup, hide other text, or leave its row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from markupsafe import Markup, escape

from orchlite.web.visible import visible

# ECMA-48: colours, the other CSI sequences, which move and erase, and the links of OSC 8. The rest is shown.
_SEQUENCE = re.compile(r"\x1b\[(?P<codes>[0-9;:]*)m|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\]8;[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)")
_CODES = re.compile("[;:]")
_MOST_CODES = 32
_MOST_MARKS = 20
"""How many places of a row are marked: each makes the page longer by a multiple of what it marks."""
_FLAGS = {1: "b", 2: "d", 3: "i", 4: "u", 9: "s"}
_CLEARED = {21: "b", 22: "bd", 23: "i", 24: "u", 29: "s"}


class _Style(NamedTuple):
    """How the text that follows looks."""

    foreground: int | None = None
    background: int | None = None
    flags: frozenset[str] = frozenset()
    is_inverse: bool = False

    def classes(self) -> str:
        """Return the CSS classes. A background of the text's own colour would hide it, and is left out."""
        front = "" if self.foreground is None else f"f{self.foreground}"
        back = "" if self.background in (None, self.foreground) else f"g{self.background}"
        if self.is_inverse:
            front, back = back.replace("g", "f") or "fv", front.replace("f", "g") or "gv"
        return " ".join([*filter(None, (front, back)), *sorted(self.flags)])


def row_html(text: str, words: str = "") -> Markup:
    """Return the HTML of one row, which begins without a colour. `words`, in any case, are marked where they are in one colour."""
    if text.isprintable() and not words:  # nearly every row
        return escape(visible(text))
    pattern = re.compile(re.escape(words), re.IGNORECASE) if words else None
    pieces: list[Markup] = []
    marks = 0
    for part, style in _parts(text):
        shown = _marked(visible(part), pattern, _MOST_MARKS - marks)
        marks += shown.count("<mark>")
        classes = style.classes()
        pieces.append(Markup('<span class="{}">{}</span>').format(classes, shown) if classes else shown)
    return Markup("").join(pieces)


def _parts(text: str) -> Iterator[tuple[str, _Style]]:
    """Yield the texts between the sequences, with how they look."""
    style, end = _Style(), 0
    for found in _SEQUENCE.finditer(text):
        if end < found.start():
            yield text[end : found.start()], style
        style = style if found["codes"] is None else _styled(style, found["codes"])
        end = found.end()
    if end < len(text):
        yield text[end:], style


def _marked(text: str, pattern: re.Pattern[str] | None, most: int) -> Markup:
    if pattern is None:
        return escape(text)
    pieces, end = [], 0
    for found in islice(pattern.finditer(text), most):
        pieces += [escape(text[end : found.start()]), Markup("<mark>{}</mark>").format(found[0])]
        end = found.end()
    return Markup("").join([*pieces, escape(text[end:])])


def _styled(style: _Style, codes: str) -> _Style:
    """Return the style after a sequence of SGR codes. Unknown ones change nothing; concealed text is not concealed."""
    numbers = [int(code[:4] or 0) for code in _CODES.split(codes)[:_MOST_CODES]]
    place = 0
    while place < len(numbers):
        code = numbers[place]
        place += 1
        if code in (38, 48):
            colour, place = _extended(numbers, place)
            if colour is not None:
                style = style._replace(foreground=colour) if code == 38 else style._replace(background=colour)
        else:
            style = _changed(style, code)
    return style


def _changed(style: _Style, code: int) -> _Style:
    match code:
        case 0:
            return _Style()
        case 7 | 27:
            return style._replace(is_inverse=code == 7)
        case 39:
            return style._replace(foreground=None)
        case 49:
            return style._replace(background=None)
    if code in _FLAGS:
        return style._replace(flags=style.flags | {_FLAGS[code]})
    if code in _CLEARED:
        return style._replace(flags=style.flags - {*_CLEARED[code]})
    tens, colour = divmod(code, 10)
    if colour < 8 and tens in (3, 9):
        return style._replace(foreground=colour + 8 * (tens == 9))
    if colour < 8 and tens in (4, 10):
        return style._replace(background=colour + 8 * (tens == 10))
    return style


def _extended(numbers: list[int], place: int) -> tuple[int | None, int]:
    """Return the nearest of the 16 colours to that of `5;n` or `2;r;g;b`, and where the next code is."""
    match numbers[place : place + 4]:
        case [5, number, *_]:
            return _of_256(number), place + 2
        case [2, red, green, blue]:
            return _nearest(red, green, blue), place + 4
    return None, len(numbers)


def _of_256(number: int) -> int:
    if number < 16:
        return number
    if number >= 232:
        return _nearest(*[8 + 10 * (number - 232)] * 3)
    cube = number - 16
    red, green, blue = ((0, 95, 135, 175, 215, 255)[cube // step % 6] for step in (36, 6, 1))
    return _nearest(red, green, blue)


def _nearest(red: int, green: int, blue: int) -> int:
    """Return one of the 16 colours: the hue's, or a grey; bright ones from 8 on."""
    most, least = max(red, green, blue), min(red, green, blue)
    if most - least < 48:
        return 0 if most < 64 else 8 if most < 144 else 7 if most < 224 else 15
    middle = (most + least) / 2
    hue = (red > middle) + 2 * (green > middle) + 4 * (blue > middle)
    return hue + 8 * (most > 200 and least > 64)
