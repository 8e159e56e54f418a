"""What takes up space on disk: the bundles and the runs of each orchestration, models, and the database."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from orchlite.core.clock import SystemClock
from orchlite.core.files import tree_size_bytes
from orchlite.operations.context import Context
from orchlite.store.maintenance import PAGE

_ID_CHARACTERS = 36


class OrchestrationUse(NamedTuple):
    """What all versions of a name take up."""

    workspace_id: int
    title: str
    """The name; of an orchestration without one, its file's."""
    versions: int
    bundle_bytes: int
    """Bytes that several names have are counted for each."""
    runs: int
    """How many folders of runs, packaging included, were measured."""
    run_bytes: int
    """Logs and files of these."""


class DiskUse(NamedTuple):
    """What the parts of a store take up on disk."""

    orchestrations: Sequence[OrchestrationUse]
    """The largest first."""
    database_bytes: int
    model_bytes: int
    run_folders: int
    """How many there are. More than were measured, if the time was up before: then any of them, not the newest."""

    @property
    def measured_runs(self) -> int:
        """Return how many folders of runs were measured."""
        return sum(use.runs for use in self.orchestrations)


def measure(context: Context, seconds: float) -> DiskUse:
    """Measure the store. Block until every file was examined, or `seconds` have passed; after that, folders of runs are only counted.

    Raises:
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the store cannot be read.
        OSError: one of its folders cannot be listed.
    """
    names = {row.orchestration_id: (row.workspace_id, row.name or row.orchestration_id) for row in context.store.orchestrations.all()}
    uses = _bundles(context)
    until, run_folders = SystemClock().monotonic() + seconds, 0
    for run_ids in _run_ids(context):
        run_folders += len(run_ids)
        if SystemClock().monotonic() > until:
            continue
        for run_id, orchestration_id in context.store.orchestrations.ids_of_runs(run_ids).items():
            if (key := names.get(orchestration_id)) is not None:  # else it was uploaded meanwhile
                size_bytes = tree_size_bytes(context.folder.run(run_id).path)
                uses[key] = uses[key]._replace(runs=uses[key].runs + 1, run_bytes=uses[key].run_bytes + size_bytes)
    folder = context.folder
    return DiskUse(
        orchestrations=sorted(uses.values(), key=lambda use: use.bundle_bytes + use.run_bytes, reverse=True),
        database_bytes=sum(map(tree_size_bytes, folder.path.glob(f"{folder.database.name}*"))),
        model_bytes=tree_size_bytes(folder.models),
        run_folders=run_folders,
    )


def _bundles(context: Context) -> dict[tuple[int, str], OrchestrationUse]:
    """Return by workspace and name, or id, what the bundles take up."""
    uses: dict[tuple[int, str], OrchestrationUse] = {}
    seen: set[tuple[int, str, str]] = set()
    for row in context.store.orchestrations.all():
        key = row.workspace_id, row.name or row.orchestration_id
        use = uses.get(key) or OrchestrationUse(row.workspace_id, row.name or row.file_name, 0, 0, 0, 0)
        is_new = (*key, row.sha) not in seen
        seen.add((*key, row.sha))
        uses[key] = use._replace(versions=use.versions + 1, bundle_bytes=use.bundle_bytes + row.size_bytes * is_new)
    return uses


def _run_ids(context: Context) -> Iterator[list[str]]:
    with os.scandir(context.folder.runs) as entries:
        ids = (entry.name for entry in entries if len(entry.name) == _ID_CHARACTERS)
        while page := list(islice(ids, PAGE)):
            yield page
