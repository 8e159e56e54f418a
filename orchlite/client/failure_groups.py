"""Failed runs grouped by why they failed: numbers and quoted words aside, by the last line of their traceback."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from orchlite.client.failures import cause_of
from orchlite.engine.engine import Engine
from orchlite.store.failures import FailedRun

MOST = 300
"""How many failures are examined: the log of each may be read."""
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9a-fA-F]{8,}|\d+")
"""What differs between two errors of one kind: quoted words, ids and numbers."""


class FailureGroup(NamedTuple):
    """Failed runs with the same error."""

    error: str
    """What the newest of them says."""
    runs: Sequence[FailedRun]
    """The last ended first."""
    has_variants: bool
    """Whether the others say the same with other numbers or quoted words."""

    @property
    def titles(self) -> Sequence[str]:
        """Return what failed, each once, the last failed first."""
        return list(dict.fromkeys(run.title for run in self.runs))


def failure_groups(engine: Engine, workspace_id: int | None, since: datetime) -> list[FailureGroup]:
    """Return the newest 300 failures since a time, of a workspace or of all, in groups, that with the last failure first."""
    return _grouped((run, cause_of(engine, run)) for run in engine.store.failures.newest(workspace_id, since, MOST))


def _grouped(failures: Iterable[tuple[FailedRun, str]]) -> list[FailureGroup]:
    groups: dict[str, list[tuple[FailedRun, str]]] = {}
    for run, error in failures:
        groups.setdefault(_VARYING.sub("…", error), []).append((run, error))
    return [
        FailureGroup(error=found[0][1], runs=[run for run, _ in found], has_variants=len({error for _, error in found}) > 1)
        for found in groups.values()
    ]
