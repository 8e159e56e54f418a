"""Bundles that were received and checked, and wait to be uploaded, for 50 minutes at most. Kept by one server, lost with it."""

from __future__ import annotations

import secrets
import threading
import weakref
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from orchlite.core.errors import NotFound, OrchliteError
from orchlite.core.settings import MEBIBYTE
from orchlite.operations.upload import BundleCheck, Upload

_KEPT = timedelta(minutes=50)
"""Less than an hour: after that, pruning takes such a file for one that was left behind."""
_MOST = 20
_MOST_BYTES = 512 * MEBIBYTE


class StagedBundle(NamedTuple):
    """A bundle as it was received: acceptable, or refused."""

    upload: Upload
    """What an upload would get. Its source is a file of our own, unless it was refused."""
    staged_at: datetime
    found: BundleCheck | None = None
    refused: OrchliteError | None = None

    @property
    def size_bytes(self) -> int:
        """The size of its file; 0 without one."""
        return 0 if self.found is None else self.found.size_bytes

    def discard(self) -> None:
        """Remove its file."""
        if self.found is not None and isinstance(self.upload.source, Path):
            self.upload.source.unlink(missing_ok=True)


class StagedBundles:
    """The bundles that one server has staged, at most 20 and 512 MiB. Discarded at its end. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._staged: dict[str, StagedBundle] = {}
        weakref.finalize(self, _discard_all, self._staged)  # also called at the end of the process, unless that is killed

    def add(self, staged: StagedBundle) -> str:
        """Keep a bundle, and return the key by which it is found. Discard those that are too old or too many."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._staged[key] = staged
            dropped = [self._staged.pop(one) for one in self._superfluous(staged.staged_at)]
        for each in dropped:
            each.discard()
        return key

    def _superfluous(self, now: datetime) -> list[str]:
        """Return the keys of what is too old or too many; the newest is neither."""
        superfluous, size_bytes = [], 0
        for place, (key, staged) in enumerate(reversed(self._staged.items())):
            size_bytes += staged.size_bytes
            if place and (place >= _MOST or size_bytes > _MOST_BYTES or now - staged.staged_at >= _KEPT):
                superfluous.append(key)
        return superfluous

    def get(self, key: str) -> StagedBundle:
        """Return the bundle with this key.

        Raises:
            NotFound: it was uploaded or discarded, or the server was started again since.
        """
        with self._lock:
            found = self._staged.get(key)
        if found is None:
            raise NotFound("This bundle is no longer waiting to be uploaded.", hint="Drop it again.", key=key)
        return found

    def remove(self, key: str) -> None:
        """Discard a bundle, if it is there."""
        with self._lock:
            found = self._staged.pop(key, None)
        if found is not None:
            found.discard()


def _discard_all(staged: Mapping[str, StagedBundle]) -> None:
    for each in staged.values():
        each.discard()
