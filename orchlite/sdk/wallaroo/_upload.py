"""Uploads with the rules of the platform's SDK: which argument takes precedence, and what is raised."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orchlite.core.arguments import checked_name
from orchlite.core.errors import OrchliteError, StoreElsewhere
from orchlite.engine.engine import Engine
from orchlite.operations.upload import Upload

from ._errors import OrchestrationMissingFile, OrchestrationUploadFailed
from ._orchestration import Orchestration

_UNNAMED = "_"


def upload(
    client: Any,
    engine: Engine,
    workspace_id: int,
    bytes_buffer: bytes | None,
    path: str | os.PathLike[str] | None,
    name: str | None,
    file_name: str | None,
) -> Orchestration:
    """Upload a ZIP, and return at once; see `Client.upload_orchestration`.

    Raises:
        OrchestrationMissingFile: there are neither bytes nor a path.
        OrchestrationUploadFailed: the bundle or an argument is refused; nothing was stored.
        OSError: the file at `path` cannot be read.
    """
    source: bytes | Path
    if path is not None:
        source = _readable(Path(path))
        file_name = source.name
    elif bytes_buffer is not None:
        source = bytes(memoryview(bytes_buffer))
    else:
        raise OrchestrationMissingFile
    try:
        taken = Upload(source, workspace_id, checked_name(name), checked_name(file_name or _UNNAMED, "file_name") or _UNNAMED)
        return Orchestration(client, engine, engine.upload(taken))
    except StoreElsewhere:
        raise
    except OrchliteError as error:
        raise OrchestrationUploadFailed(error) from error


def _readable(path: Path) -> Path:
    """Return the absolute path of a file after opening it once; a folder is refused, as by the platform's SDK."""
    with path.open("rb"):
        return path.absolute()
