"""Sizes in bytes, as people write and read them: `512MiB`, `4 GiB`."""

from __future__ import annotations

import re

_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(_UNITS)})", re.ASCII)


def parsed_size(text: str) -> int | None:
    """Return the bytes; None if it is no size. A bare number is none, nor is `4G`, because their unit would be a guess."""
    found = _SIZE.fullmatch(text)
    return None if found is None else int(float(found[1]) * _UNITS[found[2]])


def size_text(count: float) -> str:
    """Return a size as text, rounded: `512 B`, `1.5 MiB`, `4 GiB`."""
    unit = max((unit for unit in _UNITS if _UNITS[unit] <= count), key=_UNITS.__getitem__, default=None)
    return f"{count} B" if unit is None else f"{count / _UNITS[unit]:.1f}".removesuffix(".0") + f" {unit}"


def over_text(count: int, limit: float) -> str:
    """Return how a size compares with a limit that it exceeds: `120.5 MiB; the limit is 100 MiB`. Both are exact if they look equal."""
    size, bound = size_text(count), size_text(limit)
    if size == bound:
        size, bound = f"{count:,} B", f"{limit:,} B"
    return f"{size}; the limit is {bound}"
