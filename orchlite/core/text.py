"""Texts that may stand in a message."""

from __future__ import annotations

_SHOWN_CHARACTERS = 120


def shown(name: str) -> str:
    """Return the name as it may stand in a message: quoted, every unprintable character escaped, the middle of a long one left out."""
    if len(name) > _SHOWN_CHARACTERS:
        name = f"{name[: _SHOWN_CHARACTERS // 2]}…{name[-_SHOWN_CHARACTERS // 2 :]}"
    return repr(name)
