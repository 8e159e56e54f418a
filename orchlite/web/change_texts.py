"""What changed between two runs of a task, in words."""

from __future__ import annotations

import json

from orchlite.client.task_history import Change
from orchlite.core.text import listed
from orchlite.operations.comparison import Difference
from orchlite.web.visible import cut

_MOST = 6
_CHARACTERS = 60


def change_text(change: Change) -> str:
    """Return what changed: `Code changed: main.py; package numpy 1.26.4 to 2.0.1`."""
    kinds = " and ".join(kind for kind, is_other in (("code", change.is_code), ("packages", change.is_packages)) if is_other)
    texts = [_text(one) for one in change.differences or ()]
    details = f"{', '.join(texts[:_MOST])} and {len(texts) - _MOST + change.more} more" if change.more else listed(texts, _MOST)
    return f"{kinds.capitalize()} changed{f': {details}' if details else ''}"


def _text(one: Difference) -> str:
    if one.kind == "code":
        return one.name if one.change == "changed" else f"{one.name} {one.change}"
    if one.change != "changed":
        value = "" if one.change == "removed" else f" {_value(one.second)}"
        return f"{one.kind} {one.name}{value} {one.change}"
    return f"{one.kind} {one.name} {_value(one.first)} → {_value(one.second)}"


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return cut(text, _CHARACTERS)
