"""The files of uploaded models on disk: `models/<sha256>`."""

from __future__ import annotations

from pathlib import Path

from orchlite.core.content_storage import ContentStorage
from orchlite.core.errors import BadArgument, BadModel
from orchlite.core.hints import OrRaise
from orchlite.core.sizes import over_text


class ModelStorage(ContentStorage):
    """The model files of one store. Safe to use from several threads and processes."""

    def _too_large(self, size_bytes: int, limit_bytes: int) -> BadModel:
        return BadModel(
            f"The model has {over_text(size_bytes, limit_bytes)}.",
            hint="Use a smaller model" + OrRaise("model_bytes") + ".",
            limit_bytes=limit_bytes,
        )

    def _unreadable(self, path: Path, reason: str) -> BadArgument:
        return BadArgument(f"The model {str(path)!r} cannot be read: {reason}.", hint="Give the path of a file.", argument="path")
