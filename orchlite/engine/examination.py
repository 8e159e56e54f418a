"""Something that takes long to examine: it is examined in the background, and what was found last is known meanwhile, with its age."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from orchlite.core.errors import OrchliteError
from orchlite.core.threads import start_daemon

T = TypeVar("T")
_log = logging.getLogger(__name__)
_ONE_AT_A_TIME = threading.Lock()
"""Several would only slow each other down, and everything else."""


class Examination(Generic[T]):
    """One thing to examine, and what was found last. Thread-safe."""

    def __init__(self, examine: Callable[[], T], now: Callable[[], datetime]) -> None:
        self._examine = examine
        self._now = now
        self._lock = threading.Lock()
        self.found: T | None = None
        """What was found last; None until then."""
        self.at: datetime | None = None
        """When that was found."""
        self.failed = ""
        """Why the last examination found nothing, in the words of an error; empty if it did."""
        self.started_at: datetime | None = None
        """When the examination that is not done yet was asked for; None if all are done."""

    @property
    def is_running(self) -> bool:
        """Return whether an examination is not done yet."""
        return self.started_at is not None

    def start(self) -> None:
        """Examine it again in a thread, after others that are being examined. Do nothing while that lasts.

        Raises:
            ResourceExhausted: no thread can be started.
        """
        with self._lock:
            if self.is_running:
                return
            start_daemon(self._run, "orchlite-examination")
            self.started_at = self._now()

    def start_if_unknown(self) -> None:
        """Start if nothing was found yet.

        Raises:
            ResourceExhausted: no thread can be started.
        """
        if self.at is None and not self.failed:
            self.start()

    def _run(self) -> None:
        try:
            with _ONE_AT_A_TIME:
                self.found, self.failed = self._examine(), ""
            self.at = self._now()
        except (OrchliteError, OSError) as error:
            self.failed = error.message if isinstance(error, OrchliteError) else str(error)
        except Exception:
            _log.exception("an examination failed")
            self.failed = "It failed; the log says why."
        finally:
            with self._lock:  # after `start` has returned
                self.started_at = None
