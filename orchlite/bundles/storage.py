"""The uploaded bundles on disk: `bundles/<sha256>.zip`."""

from __future__ import annotations

from pathlib import Path

from orchlite.core.content_storage import ContentStorage
from orchlite.core.errors import BadArgument, BadBundle
from orchlite.core.hints import OrRaise
from orchlite.core.sizes import over_text


class BundleStorage(ContentStorage):
    """The bundles of one store. Safe to use from several threads and processes."""

    suffix = ".zip"

    def _too_large(self, size_bytes: int, limit_bytes: int) -> BadBundle:
        return BadBundle(
            f"The bundle has {over_text(size_bytes, limit_bytes)}.",
            hint="Leave large data out and fetch it in main.py" + OrRaise("upload_bytes") + ".",
            limit_bytes=limit_bytes,
        )

    def _unreadable(self, path: Path, reason: str) -> BadArgument:
        return BadArgument(
            f"The bundle {str(path)!r} cannot be read: {reason}.", hint="Give the path of a ZIP or of a folder.", argument="path"
        )
