"""Checks whether a store is intact: its database, its rows among themselves, its files against its rows. Reads everything, changes nothing.

An intact store has no findings, even while hosts use it. These are not findings: a run without a folder, which was restored
from a backup made while it ran; and a missing environment, which the next run builds again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
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


def check(context: Context) -> Table[Finding]:
    """Return what is wrong with the store. Block until everything has been read, including the bytes of all bundles and models.

    Raises:
        StoreBusy, DeviceFailed, Closed: the store cannot be read. Damage is a finding, not an exception.
        OSError: one of its folders cannot be listed, or this process may open no more files.
    """
    findings: Table[Finding] = Table()
    try:
        findings += _database(context)
        for part in (_rows, _bundles, _models, _environments, _ended_runs, _abandoned_runs, _orphans):
            findings += part(context)
    except StoreDamaged as error:
        # Rows that cannot be read cannot be compared with anything.
        findings.append(Finding("database", str(context.folder.database), error.message, _RESTORE))
    return findings


def _database(context: Context) -> Iterator[Finding]:
    for message in context.store.maintenance.damage():
        yield Finding("database", str(context.folder.database), f"SQLite says: {message}.", _RESTORE)


def _rows(context: Context) -> Iterator[Finding]:
    maintenance = context.store.maintenance
    for run_id, what in (*maintenance.contradicting_runs(), *maintenance.contradicting_events()):
        yield Finding("row", run_id, f"The run {what}.", _REPORT)
    for orchestration_id in maintenance.orchestrations_without_packaging():
        yield Finding("row", orchestration_id, "The orchestration has no packaging task.", _REPORT)
    for pipeline_id in context.store.inference_logs.wrong_sums():
        yield Finding("row", str(pipeline_id), "The pipeline's count of logged records or bytes is wrong.", _REPORT)
    for pipeline, version in context.store.deployments.with_missing_models():
        what = f"The pipeline {pipeline.name!r} is deployed with version {version} of a model, which does not exist."
        yield Finding("row", str(pipeline.pipeline_id), what, _REPORT)


def _bundles(context: Context) -> Iterator[Finding]:
    for bundle in context.store.maintenance.bundles():
        problem = _file_problem(context.bundles, bundle.sha, bundle.size_bytes)
        # It may have been deleted with its last orchestration a moment ago.
        if problem and context.store.maintenance.orchestrations_of(bundle.sha):
            yield Finding("bundle", str(context.bundles.path(bundle.sha)), problem, _UPLOAD_AGAIN)


def _models(context: Context) -> Iterator[Finding]:
    for sha, size_bytes in context.store.models.files().items():
        problem = _file_problem(context.model_files, sha, size_bytes)
        if problem and context.store.models.of_sha(sha):
            yield Finding("model", str(context.model_files.path(sha)), problem, _UPLOAD_AGAIN)


def _file_problem(storage: ContentStorage, sha: str, known_size_bytes: int) -> str | None:
    path = storage.path(sha)
    try:
        size_bytes = path.stat().st_size
        if size_bytes != known_size_bytes:
            return f"It has {size_bytes} bytes instead of {known_size_bytes}."
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if is_shortage(error):  # which says nothing about the file
            raise
        return f"It cannot be read: {error.strerror}."
    return None if found == sha else "Its bytes have changed: their SHA-256 differs from the one in its name."


def _environments(context: Context) -> Iterator[Finding]:
    for key in sorted(context.store.maintenance.recorded_environments()):
        if change := context.environments.change(key):
            what = f"A program has changed it in {change}, and other runs share it."
            yield Finding("environment", key, what, "The next run that needs it builds it again.")


def _ended_runs(context: Context) -> Iterator[Finding]:
    bearers = survivors.run_ids()
    for page in context.store.maintenance.all_ended_runs():
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
    if has_processes and folder.path.is_dir():  # a restored backup has no folder of a run that the original executes
        left = sorted({*left, *survivors.processes_of(folder)})
    return (f"It has ended, but processes that it started are alive: {', '.join(map(str, left))}.", _SURVIVORS) if left else None


def _abandoned_runs(context: Context) -> Iterator[Finding]:
    for run in context.store.runs.running():
        if run.host_id is None or liveness.is_alive(context.folder.hosts, run.host_id):
            continue
        has_runner = isinstance(context.process.observe(context.folder.run(run.run_id)), Alive)
        if not has_runner and context.store.maintenance.status_of_run(run.run_id) == "running":
            yield Finding("run", run.run_id, "It is running by its row, but no process runs it.", Api.START + " records how it ended.")


def _orphans(context: Context) -> Iterator[Finding]:
    for kind, path in garbage.find(context):
        yield Finding("leftover", str(path), f"This {kind} belongs to nothing.", _ORPHAN_HINTS[kind])
