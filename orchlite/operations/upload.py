"""Uploads bundles: receive the bytes, inspect them, store them once, package them or queue that; or says what an upload would find."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.errors import Closed, OrchliteError, StorageFull
from orchlite.core.files import remove_tree
from orchlite.core.records import OrchestrationRow, RunRow, TaskRow
from orchlite.core.status import OrchestrationStatus, TaskKind, TaskStatus
from orchlite.core.text import mask_credentials
from orchlite.operations import packaging
from orchlite.operations.context import Context

if TYPE_CHECKING:
    from orchlite.bundles.bundle import BundleReport


class Upload(NamedTuple):
    """A bundle to upload, and the orchestration to make of it."""

    source: bytes | Path
    """The bytes of a ZIP, or the path of a ZIP or of a folder to pack."""
    workspace_id: int
    name: str | None
    file_name: str
    exclude: Sequence[str] = ()
    """Patterns of what to leave out of a folder."""
    refresh: bool = False
    """Build its environment again, even if there is one."""
    base_image: str | None = None
    """As it is stored; None: the client's."""
    replace_pins: tuple[str, ...] | None = None
    """The set that replaces pins of the bundle; None: the client's."""
    packing_warnings: tuple[str, ...] = ()
    """Of a ZIP that was packed before: what `packed` warned of."""


class BundleCheck(NamedTuple):
    """What an upload of an acceptable bundle would find."""

    sha: str
    size_bytes: int
    entrypoint: str
    requirements: tuple[str, ...]
    """As `Orchestration.requirements()` returns them."""
    warnings: tuple[str, ...]
    """Those of the upload, and those of packaging that are certain already."""


def receive(context: Context, upload: Upload, *, reuse: bool = False, at_once: bool = False) -> OrchestrationRow:
    """Create an orchestration from the bundle and queue its packaging: all of it, durably, or nothing.

    reuse: if the workspace has a usable orchestration of the same bytes, return the newest one instead.
    at_once: package it, too, if that takes only milliseconds.

    Raises:
        BadBundle, BadRequirement, BadArgument: the bundle is refused.
        StorageFull: there is no space for it.
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
        OSError: the bundle cannot be written to the store's folder.
    """
    source, upload = packed(context, upload)
    with context.bundles.receive(source, context.settings.limits.upload_bytes) as received:
        report, changes = _inspected(context, upload, received)
        # Read without `reuse`, too: a store that fails should do so before it contains the bundle.
        existing = context.store.orchestrations.newest_of_bytes(
            upload.workspace_id, report.sha, _base_image(context, upload), report.requirements.lines
        )
        if reuse and existing is not None and not _has_other_sources(context, existing):
            return existing
        return _store(context, _New(upload, report, received, changes), at_once=at_once)


def check(context: Context, upload: Upload) -> BundleCheck:
    """Return what an upload of the bundle would find. Nothing is stored or installed.

    Imports are compared with the environment if it exists already, else with what is certain of it.

    Raises:
        BadBundle, BadRequirement, BadArgument: the bundle would be refused.
        StorageFull: there is no space for it.
        OSError: the bundle cannot be written to the store's folder.
    """
    from orchlite.operations.import_warnings import foreseen_import_warnings

    source, upload = packed(context, upload)
    with context.bundles.receive(source, context.settings.limits.upload_bytes) as received:
        report, _ = _inspected(context, upload, received)
        foreseen = foreseen_import_warnings(context, _orchestration(context, upload, report), received)
        return BundleCheck(
            sha=report.sha,
            size_bytes=report.size_bytes,
            entrypoint=report.entrypoint,
            requirements=tuple(map(mask_credentials, report.requirements.lines)),
            warnings=(*report.warnings, *foreseen),
        )


def packed(context: Context, upload: Upload) -> tuple[bytes | Path, Upload]:
    """Return the ZIP to upload, and the upload with the warnings of packing, if its source is a folder.

    Raises:
        BadBundle, BadArgument: the folder cannot be packed.
        ResourceExhausted: too many files are open.
    """
    if not (isinstance(upload.source, Path) and upload.source.is_dir()):
        return upload.source, upload
    from orchlite.bundles import packing

    made = packing.pack(upload.source, exclude=upload.exclude, limits=context.settings.limits)
    return made.content, upload._replace(packing_warnings=made.warnings())


def _inspected(context: Context, upload: Upload, received: Path) -> tuple[BundleReport, tuple[str, ...]]:
    """Return the report with all warnings and the requirements to install, and what was replaced of these."""
    from orchlite.bundles import bundle
    from orchlite.environments import base_image

    report, changes = _with_pins_replaced(context, upload, bundle.inspect(received, context.settings.limits))
    base_warnings = base_image.warnings(_base_image(context, upload))
    return report._replace(warnings=(*report.warnings, *upload.packing_warnings, *base_warnings, *changes)), changes


def _base_image(context: Context, upload: Upload) -> str:
    return context.settings.base_image if upload.base_image is None else upload.base_image


def _with_pins_replaced(context: Context, upload: Upload, report: BundleReport) -> tuple[BundleReport, tuple[str, ...]]:
    """Return the report with the requirements to install, and what was replaced."""
    pins = context.settings.replace_pins if upload.replace_pins is None else upload.replace_pins
    if not pins:
        return report, ()
    from orchlite.environments.replaced_pins import replace_pins

    replaced = replace_pins(report.requirements.lines, pins)
    return report._replace(requirements=report.requirements._replace(lines=replaced.lines)), replaced.changes


def _has_other_sources(context: Context, existing: OrchestrationRow) -> bool:
    """Return whether this client would install the orchestration's requirements from other indexes than its environment came from."""
    from orchlite.environments import base_image

    requirements = base_image.effective_requirements(existing.base_image, existing.requirements)
    return context.environments.has_other_sources(existing.environment_key, requirements)


class _New(NamedTuple):
    """A bundle that is not stored yet."""

    upload: Upload
    report: BundleReport
    received: Path
    changes: tuple[str, ...]
    """What was replaced of its pins."""


def _store(context: Context, new: _New, *, at_once: bool) -> OrchestrationRow:
    try:
        return _add(context, new, at_once=at_once)
    except StorageFull:
        with suppress(OrchliteError):
            _discard_unreferenced(context, new.report.sha)
        raise


def _discard_unreferenced(context: Context, sha: str) -> None:
    """Remove the bundle if no orchestration refers to it: it must not occupy space on a full disk."""
    with context.store.transaction() as transaction:  # as a lock: no upload can refer to these bytes meanwhile
        if not context.store.orchestrations.is_referenced(transaction, sha):
            context.bundles.discard(sha)


def _add(context: Context, new: _New, *, at_once: bool) -> OrchestrationRow:
    context.bundles.add(new.received, new.report.sha)
    orchestration = _orchestration(context, new.upload, new.report)
    task = _packaging_task(context, orchestration, new.changes, refresh=new.upload.refresh)
    run = context.claim().new_run(str(uuid.uuid4()), task.task_id)
    try:
        is_plain = json.loads(task.arguments) == {}
        packaged = packaging.package_at_once(context, orchestration, run) if at_once and is_plain else None
        with context.store.transaction() as transaction:
            # Again: deleting the last orchestration of these bytes removes the file under the same lock, perhaps a moment ago.
            context.bundles.add(new.received, orchestration.sha)
            context.store.orchestrations.insert(transaction, orchestration)
            if packaged is None:
                context.store.tasks.insert(transaction, task)
                context.store.runs.insert(transaction, run.run_id, task.task_id, context.host_id, orchestration.created_at)
            else:
                context.store.tasks.insert(transaction, task._replace(status=TaskStatus.STARTED))
                context.store.runs.insert_claimed(transaction, run)
                packaging.record_success(context, transaction, run, orchestration.orchestration_id, packaged)
                orchestration = context.store.orchestrations.get(orchestration.orchestration_id)  # later, it may be deleted
    except Closed:  # nothing was committed, and the store cannot be asked any more
        remove_tree(context.folder.run(run.run_id).path)
        raise
    except BaseException:
        _discard_unless_stored(context, run)
        raise
    return orchestration


def _discard_unless_stored(context: Context, run: RunRow) -> None:
    """Remove the files of a packaging that was not stored. An interrupt may come after the commit."""
    with suppress(OrchliteError, OSError):
        if context.store.runs.find(run.run_id) is None:
            remove_tree(context.folder.run(run.run_id).path)


def _orchestration(context: Context, upload: Upload, report: BundleReport) -> OrchestrationRow:
    now = context.clock.now()
    return OrchestrationRow(
        orchestration_id=str(uuid.uuid4()),
        workspace_id=upload.workspace_id,
        name=upload.name,
        file_name=upload.file_name,
        sha=report.sha,
        size_bytes=report.size_bytes,
        entrypoint=report.entrypoint,
        requirements=report.requirements.lines,
        warnings=report.warnings,
        base_image=_base_image(context, upload),
        status=OrchestrationStatus.PENDING_PACKAGING,
        reason=None,
        environment_key=None,
        installed=(),
        task_id=str(uuid.uuid4()),
        created_at=now,
        updated_at=now,
    )


def _packaging_task(context: Context, orchestration: OrchestrationRow, changes: tuple[str, ...], *, refresh: bool) -> TaskRow:
    arguments = {**({"refresh": True} if refresh else {}), **({"replaced_pins": changes} if changes else {})}
    return TaskRow(
        task_id=orchestration.task_id,
        workspace_id=orchestration.workspace_id,
        orchestration_id=orchestration.orchestration_id,
        kind=TaskKind.PACKAGING,
        name=None,
        arguments=json.dumps(arguments),
        timeout_seconds=None,
        debug=False,
        env={},
        env_passthrough=(),
        status=TaskStatus.PENDING,
        reason=None,
        created_at=orchestration.created_at,
        updated_at=orchestration.updated_at,
        on_failure=context.settings.on_failure,
    )
