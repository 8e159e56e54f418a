"""Checks whether a store is intact: its database, its rows among themselves, its files against its rows. Reads everything, changes nothing.

A quick check reads what costs little in a store of any size: of a million runs, it takes seconds instead of minutes.

An intact store has no findings, even while hosts use it. These are not findings: a run without a folder, which was restored
from a backup made while it ran; and a missing environment, which the next run builds again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from orchlite.core.content_storage import ContentStorage
from orchlite.core.errors import StoreDamaged
from orchlite.core.files import is_locked
from orchlite.core.hints import Api
from orchlite.core.system_errors import is_shortage
from orchlite.core.tables import Table, table_html
from orchlite.operations import garbage, liveness
from orchlite.operations.context import Context
from orchlite.runs import survivors
from orchlite.runs.spec import Alive
from orchlite.store.maintenance import EndedRun

Progress = Callable[[str, int, int], None]
"""Called with the part of a store that is being checked, how many of its things were, and how many there are: 0 if they are not counted."""

_RESTORE = "Restore the store from a backup."
_REPORT = "Restore the store from a backup, and report this: it is a bug in orchlite."
_UNREADABLE = "Its own program may have replaced it. Its outcome is recorded; its log and files are lost unless you restore them."
_UPLOAD_AGAIN = "Upload the same bytes again, or restore the store from a backup."
_SURVIVORS = "They could not be ended; `kill -9` with these numbers does it, perhaps only as root."
_ORPHAN_HINTS = {
    "bundle": Api.PRUNE + " removes it.",
    "model": Api.PRUNE + " removes it.",
    "upload": "It was interrupted; " + Api.PRUNE + " removes it.",
    "run folder": Api.PRUNE + " removes it.",
    "standby": "The next client that opens the store removes it, and so does " + Api.PRUNE + ".",
    "host": "The next client that opens the store removes it, and so does " + Api.PRUNE + ".",
}


class Finding(NamedTuple):
    """Something that is wrong with a store."""

    kind: str
    """`database`, `row`, `bundle`, `model`, `environment`, `run` or `leftover`."""
    subject: str
    """The path or the id of what is wrong."""
    what: str
    hint: str
    """The way out."""

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.what} {self.hint}"

    @staticmethod
    def _columns() -> Sequence[str]:
        return Finding._fields

    def _cells(self) -> Sequence[object]:
        return self

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self])


class _Check(NamedTuple):
    """One check of a store."""

    context: Context
    is_quick: bool
    progress: Progress


def check(context: Context, *, quick: bool = False, progress: Progress | None = None) -> Table[Finding]:
    """Return what is wrong with the store. Block until everything has been read, including the bytes of all bundles and models.

    quick: do not read those bytes, the indexes and events of the database, and the folders of runs.
    progress: called at the beginning of each part, and for each page of runs. What it raises ends the check.

    Raises:
        StoreBusy, DeviceFailed, Closed: the store cannot be read. Damage is a finding, not an exception.
        OSError: one of its folders cannot be listed, or this process may open no more files.
    """
    findings: Table[Finding] = Table()
    one = _Check(context, quick, progress or (lambda part, done, total: None))
    try:
        for name, find in _PARTS.items():
            one.progress(name, 0, 0)
            findings += find(one)
    except StoreDamaged as error:
        # Rows that cannot be read cannot be compared with anything.
        findings.append(Finding("database", str(context.folder.database), error.message, _RESTORE))
    return findings


def _database(one: _Check) -> Iterator[Finding]:
    for message in one.context.store.maintenance.damage(quick=one.is_quick):
        yield Finding("database", str(one.context.folder.database), f"SQLite says: {message}.", _RESTORE)


def _rows(one: _Check) -> Iterator[Finding]:
    context, maintenance = one.context, one.context.store.maintenance
    of_events = [] if one.is_quick else maintenance.contradicting_events()
    for run_id, what in (*maintenance.contradicting_runs(), *of_events):
        yield Finding("row", run_id, f"The run {what}.", _REPORT)
    for orchestration_id in maintenance.orchestrations_without_packaging():
        yield Finding("row", orchestration_id, "The orchestration has no packaging task.", _REPORT)
    for pipeline_id in context.store.inference_logs.wrong_sums():
        yield Finding("row", str(pipeline_id), "The pipeline's count of logged records or bytes is wrong.", _REPORT)
    for pipeline, version in context.store.deployments.with_missing_models():
        what = f"The pipeline {pipeline.name!r} is deployed with version {version} of a model, which does not exist."
        yield Finding("row", str(pipeline.pipeline_id), what, _REPORT)


def _bundles(one: _Check) -> Iterator[Finding]:
    context = one.context
    for bundle in context.store.maintenance.bundles():
        problem = _file_problem(context.bundles, bundle.sha, bundle.size_bytes, size_only=one.is_quick)
        # It may have been deleted with its last orchestration a moment ago.
        if problem and context.store.maintenance.orchestrations_of(bundle.sha):
            yield Finding("bundle", str(context.bundles.path(bundle.sha)), problem, _UPLOAD_AGAIN)


def _models(one: _Check) -> Iterator[Finding]:
    context = one.context
    for sha, size_bytes in context.store.models.files().items():
        problem = _file_problem(context.model_files, sha, size_bytes, size_only=one.is_quick)
        if problem and context.store.models.of_sha(sha):
            yield Finding("model", str(context.model_files.path(sha)), problem, _UPLOAD_AGAIN)


def _file_problem(storage: ContentStorage, sha: str, known_size_bytes: int, *, size_only: bool) -> str | None:
    path = storage.path(sha)
    try:
        size_bytes = path.stat().st_size
        if size_bytes != known_size_bytes:
            return f"It has {size_bytes} bytes instead of {known_size_bytes}."
        if size_only:
            return None
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if is_shortage(error):  # which says nothing about the file
            raise
        return f"It cannot be read: {error.strerror}."
    return None if found == sha else "Its bytes have changed: their SHA-256 differs from the one in its name."


def _environments(one: _Check) -> Iterator[Finding]:
    for key in sorted(one.context.store.maintenance.recorded_environments()):
        if change := one.context.environments.change(key):
            what = f"A program has changed it in {change}, and other runs share it."
            yield Finding("environment", key, what, "The next run that needs it builds it again.")


def _runs(one: _Check) -> Iterator[Finding]:
    if not one.is_quick:
        yield from _ended_runs(one)
    yield from _abandoned_runs(one.context)


def _ended_runs(one: _Check) -> Iterator[Finding]:
    context, bearers = one.context, survivors.run_ids()
    done, total = 0, context.store.maintenance.count_runs()
    for page in context.store.maintenance.all_ended_runs():
        one.progress("runs", done := done + len(page), total)
        for run in page:
            try:
                problem = _run_problem(context, run, has_processes=run.run_id in bearers)
            except OSError as error:
                if is_shortage(error):
                    raise
                problem = f"Its folder cannot be read: {error.strerror}.", _UNREADABLE
            if problem:
                yield Finding("run", run.run_id, *problem)


def _run_problem(context: Context, run: EndedRun, *, has_processes: bool) -> tuple[str, str] | None:
    folder = context.folder.run(run.run_id)
    if not os.path.lexists(folder.path):
        return None  # in a restored backup, those of runs that the original executes
    if is_locked(folder.alive_lock):
        return f"It is {run.status}, but its runner is alive.", _REPORT
    try:
        result = json.loads(folder.attempt(run.attempt).result.read_bytes())
        status = result["status"]
        left = survivors.still_alive(zip(result.get("left", ()), result.get("left_start_ticks", ()), strict=False))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        status, left = run.status, []  # no result, or an unreadable one, as after a power failure: then the row is all that is known
    if status != run.status:
        return f"It is {run.status}, but its result says {str(status)!r:.40}.", _REPORT
    if has_processes:
        left = sorted({*left, *survivors.processes_of(folder)})
    return (f"It has ended, but processes that it started are alive: {', '.join(map(str, left))}.", _SURVIVORS) if left else None


def _abandoned_runs(context: Context) -> Iterator[Finding]:
    for run in context.store.runs.running():
        if run.host_id is None or liveness.is_alive(context.folder.hosts, run.host_id):
            continue
        if run.placement is not None:
            what = f"It is running on {run.placement.engine} as {run.placement.job_id}, and no host waits for it."
            yield Finding("run", run.run_id, what, Api.START + " with that engine records how it ends.")
            continue
        has_runner = isinstance(context.process.observe(context.folder.run(run.run_id)), Alive)
        if not has_runner and context.store.maintenance.status_of_run(run.run_id) == "running":
            yield Finding("run", run.run_id, "It is running by its row, but no process runs it.", Api.START + " records how it ended.")


def _orphans(one: _Check) -> Iterator[Finding]:
    for kind, path in () if one.is_quick else garbage.find(one.context):
        yield Finding("leftover", str(path), f"This {kind} belongs to nothing.", _ORPHAN_HINTS[kind])


_PARTS: Mapping[str, Callable[[_Check], Iterator[Finding]]] = {
    "database": _database,
    "rows": _rows,
    "bundles": _bundles,
    "models": _models,
    "environments": _environments,
    "runs": _runs,
    "leftovers": _orphans,
}
