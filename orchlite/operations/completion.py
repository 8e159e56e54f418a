"""Completes words of a command line by what a store has, without opening it: no lock is taken, no schema changed, no thread started."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from orchlite.store.words import words

_SHORT = 8


def completions(path: Path, workspace: str, kinds: Collection[str], beginning: str, *, killed: bool = False) -> dict[str, str]:
    """Return the names that begin like this, then the first eight digits of ids, each with a description of the newest thing that has it.

    path: the store's database.
    workspace: the name of the workspace whose things are meant.
    kinds: `orchestrations`, `tasks`, `runs`, `pipelines`, `models`, `connections`. With `killed`, tasks include killed ones.

    Raises:
        StoreBusy, StoreDamaged, DeviceFailed: the database cannot be read, or has another schema.
    """
    if not path.exists():
        return {}
    found = list(words(path, workspace, kinds, beginning, killed=killed))
    named = [(one.name, one.description) for one in found if one.name]
    ids = [(one.thing_id[:_SHORT], one.description) for one in found if one.thing_id]
    known: dict[str, str] = {}
    for word, description in (*named, *ids):
        if word.startswith(beginning):
            known.setdefault(word, description)
    return known
