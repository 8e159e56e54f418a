"""What differs between two runs, in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from orchlite.core.durations import seconds_text
from orchlite.core.sizes import size_text
from orchlite.core.text import number_text

if TYPE_CHECKING:
    from orchlite.operations.comparison import Difference

_SHOWN: dict[str, Callable[[Any], str]] = {
    "duration_seconds": seconds_text,
    "timeout_seconds": seconds_text,
    "cpu_seconds": seconds_text,
    "memory_bytes": size_text,
    "code": size_text,
    "argument": partial(json.dumps, ensure_ascii=False),
    "metric": number_text,
}
"""How values are shown, by the kind of difference or, of a run, by its name."""


class DifferenceTexts(NamedTuple):
    """One difference as the texts of a row."""

    kind: str
    name: str
    change: str
    first: str | None
    second: str | None


def difference_texts(difference: Difference) -> DifferenceTexts:
    """Return a difference in words; None stands for what a run does not have."""
    is_run = difference.kind == "run"
    name = difference.name.removesuffix("_seconds").removesuffix("_bytes").replace("_", " ") if is_run else difference.name
    show = _SHOWN.get(difference.name if is_run else difference.kind, str)
    first, second = (None if value is None else show(value) for value in (difference.first, difference.second))
    return DifferenceTexts(difference.kind, name, difference.change, first, second)
