"""Taking bundles in: receive the bytes, inspect them, keep them once, queue the packaging."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.errors import OrchliteError, StorageFull
from orchlite.core.records import OrchestrationRow, TaskRow
from orchlite.core.status import OrchestrationStatus, TaskKind, TaskStatus
from orchlite.operations.context import Context

if TYPE_CHECKING:
    from orchlite.bundles.bundle import BundleReport


class Upload(NamedTuple):
    """What a caller wants taken in."""

    source: bytes | Path
    """The bytes of a ZIP, or the path of a ZIP or of a folder to pack."""
    workspace_id: int
    name: str | None
    file_name: str
    exclude: Sequence[str] = ()
    refresh: bool = False
    """Build its environment anew, even where there is one."""


def receive(context: Context, upload: Upload, *, reuse: bool = False) -> OrchestrationRow:
    """Make an orchestration of the bundle and queue its packaging; nothing is stored unless all of that happens.

    With `reuse`, an orchestration of the same bytes in the same workspace is answered instead, where there is a usable one.

    Raises:
        BadBundle, BadRequirement, BadArgument: the bundle is refused.
        StorageFull: there is no room for it.
    """
    from orchlite.bundles import bundle
    from orchlite.environments import base_image

    source, left_out = _source(context, upload)
    limits = context.settings.limits
    with context.bundles.receive(source, limits.upload_bytes) as received:
        report = bundle.inspect(received, limits)
        # Asked in any case: a store that fails is to fail before there is a bundle in it.
        known = context.store.orchestrations.newest_of_bytes(upload.workspace_id, report.sha, context.settings.base_image)
        if reuse and known is not None:
            return known
        left_out_warnings = tuple(f"left out of the bundle: {name}" for name in left_out)
        base_warnings = base_image.warnings(context.settings.base_image)
        report = report._replace(warnings=(*report.warnings, *left_out_warnings, *base_warnings))
        return _keep(context, upload, report, received)


def _source(context: Context, upload: Upload) -> tuple[bytes | Path, tuple[str, ...]]:
    if isinstance(upload.source, Path) and upload.source.is_dir():
        from orchlite.bundles import packing

        packed = packing.pack(upload.source, exclude=upload.exclude, limits=context.settings.limits)
        return packed.content, packed.left_out
    return upload.source, ()


def _keep(context: Context, upload: Upload, report: BundleReport, received: Path) -> OrchestrationRow:
    try:
        return _stored(context, upload, report, received)
    except StorageFull:
        with suppress(OrchliteError):
            _let_go(context, report.sha)
        raise


def _let_go(context: Context, sha: str) -> None:
    """The disk is full: a bundle that nothing refers to must not take of what is left."""
    with context.store.transaction() as transaction:  # a lock: nobody can refer to these bytes anew meanwhile
        if not context.store.orchestrations.is_referenced(transaction, sha):
            context.bundles.discard(sha)


def _stored(context: Context, upload: Upload, report: BundleReport, received: Path) -> OrchestrationRow:
    context.bundles.add(received, report.sha)
    orchestration, task = _rows(context, upload, report)
    with context.store.transaction() as transaction:
        # Deleting the last orchestration of these bytes removes the file under the same lock, perhaps a moment ago.
        context.bundles.add(received, report.sha)
        context.store.orchestrations.insert(transaction, orchestration)
        context.store.tasks.insert(transaction, task)
        context.store.runs.insert(transaction, str(uuid.uuid4()), task.task_id, context.host_id, orchestration.created_at)
    return orchestration


def _rows(context: Context, upload: Upload, report: BundleReport) -> tuple[OrchestrationRow, TaskRow]:
    now = context.clock.now()
    orchestration = OrchestrationRow(
        orchestration_id=str(uuid.uuid4()),
        workspace_id=upload.workspace_id,
        name=upload.name,
        file_name=upload.file_name,
        sha=report.sha,
        size_bytes=report.size_bytes,
        entrypoint=report.entrypoint,
        requirements=report.requirements.lines,
        warnings=report.warnings,
        base_image=context.settings.base_image,
        status=OrchestrationStatus.PENDING_PACKAGING,
        reason=None,
        environment_key=None,
        installed=(),
        task_id=str(uuid.uuid4()),
        created_at=now,
        updated_at=now,
    )
    task = TaskRow(
        task_id=orchestration.task_id,
        workspace_id=upload.workspace_id,
        orchestration_id=orchestration.orchestration_id,
        kind=TaskKind.PACKAGING,
        name=None,
        arguments=json.dumps({"refresh": True} if upload.refresh else {}),
        timeout_seconds=None,
        debug=False,
        env={},
        env_passthrough=(),
        status=TaskStatus.PENDING,
        reason=None,
        created_at=now,
        updated_at=now,
        on_failure=context.settings.on_failure,
    )
    return orchestration, task
