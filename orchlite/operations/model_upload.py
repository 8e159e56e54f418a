"""Uploads models: receive the bytes, refuse what is no model, store them once, and add a version."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from orchlite.core.content_storage import ReceivedFile
from orchlite.core.errors import BadArgument, OrchliteError, StorageFull
from orchlite.core.hints import Argument
from orchlite.core.model_arguments import checked_model_name
from orchlite.core.model_records import ModelVersionRow
from orchlite.inference.models import FRAMEWORKS
from orchlite.operations import model_inspection
from orchlite.operations.context import Context
from orchlite.operations.deletion import discard_model_file

_READY = "ready"


class ModelUpload(NamedTuple):
    """A model to upload."""

    source: bytes | Path | ReceivedFile
    """The bytes of the file, or its path; or a file that was received to a path of `Context.model_files`."""
    workspace_id: int
    name: str
    file_name: str
    framework: str
    """As the platform's SDK spells it."""
    input_schema: bytes | None = None
    """As `pyarrow.Schema.serialize` returns it."""
    output_schema: bytes | None = None
    config: Mapping[str, Any] = {}
    arch: str | None = None
    accel: str | None = None


def receive(context: Context, upload: ModelUpload) -> ModelVersionRow:
    """Store a file as a new version of the model of this name, which is created if it is missing: all of it, durably, or nothing.

    Raises:
        BadArgument: the name or the framework is refused, or the file cannot be read.
        BadModel: the file is no model of this framework, or is longer than `Limits.model_bytes`.
        StorageFull: there is no space for it.
        StoreBusy, StoreDamaged, DeviceFailed, Closed, StoreElsewhere: the store accepts no writes.
        OSError: the file cannot be written to the store's folder.
    """
    context.store.check_changeable()
    checked_model_name(upload.name)
    check_framework(upload.framework)
    with context.model_files.receive(upload.source, context.settings.limits.model_bytes) as received:
        model_inspection.check(received, upload.name, upload.framework)
        with received.open("rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()
        context.store.models.find(upload.workspace_id, upload.name)  # a store that fails should do so before it contains the file
        return _store(context, upload, received, sha)


def checked_source(context: Context, source: Path, name: str, framework: str) -> str:
    """Return the SHA-256 of a file that `receive` would store. Nothing is written.

    Raises:
        BadArgument: the file cannot be read.
        BadModel: the file is no model of this framework, or is longer than `Limits.model_bytes`.
    """
    with context.model_files.opened(source, context.settings.limits.model_bytes) as file:
        model_inspection.check(source, name, framework)
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_framework(framework: str) -> None:
    """Check that orchlite runs models of this framework.

    Raises:
        BadArgument: it does not.
    """
    if framework not in FRAMEWORKS:
        raise BadArgument(
            Argument("framework") + f" is {framework!r:.80}, whose models orchlite does not run.",
            hint="Export the model to ONNX, or let a Python step stand in for it.",
            argument="framework",
        )


def _store(context: Context, upload: ModelUpload, received: Path, sha: str) -> ModelVersionRow:
    try:
        return _add(context, upload, received, sha)
    except StorageFull:
        with suppress(OrchliteError):
            discard_model_file(context, sha)  # it must not occupy space on a full disk
        raise


def _add(context: Context, upload: ModelUpload, received: Path, sha: str) -> ModelVersionRow:
    context.model_files.add(received, sha)
    now, size_bytes = context.clock.now(), received.stat().st_size
    with context.store.transaction() as transaction:
        # Again: deleting the last version of these bytes removes the file under the same lock, perhaps a moment ago.
        context.model_files.add(received, sha)
        model = context.store.models.find_or_create(transaction, upload.workspace_id, upload.name, now)
        version = ModelVersionRow(
            model_version_id=0,
            model_id=model.model_id,
            workspace_id=model.workspace_id,
            name=model.name,
            version=str(uuid.uuid4()),
            sha=sha,
            size_bytes=size_bytes,
            file_name=upload.file_name,
            framework=upload.framework,
            input_schema=upload.input_schema,
            output_schema=upload.output_schema,
            config=upload.config,
            arch=upload.arch,
            accel=upload.accel,
            status=_READY,
            created_at=now,
            updated_at=now,
        )
        return context.store.models.add_version(transaction, version)
