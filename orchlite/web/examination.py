"""Something that takes longer than a page may: it is examined in the background, and shown with its age."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from orchlite.core.errors import OrchliteError
from orchlite.web.language import PAGE

T = TypeVar("T")
_log = logging.getLogger(__name__)
_ONE_AT_A_TIME = threading.Lock()


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
        """Why the last examination found nothing; empty if it did."""
        self.started_at: datetime | None = None
        """When the examination that is not done yet was asked for; None if all are done."""

    @property
    def is_running(self) -> bool:
        """Return whether an examination is not done yet."""
        return self.started_at is not None

    def start(self) -> None:
        """Examine it again in a thread, after others that are being examined. Do nothing while that lasts."""
        with self._lock:
            if self.is_running:
                return
            self.started_at = self._now()
        threading.Thread(target=self._run, name="orchlite-examination", daemon=True).start()

    def start_if_unknown(self) -> None:
        """Start if nothing was found yet."""
        if self.at is None and not self.failed:
            self.start()

    def _run(self) -> None:
        try:
            with _ONE_AT_A_TIME:
                self.found, self.failed = self._examine(), ""
            self.at = self._now()
        except (OrchliteError, OSError) as error:
            self.failed = PAGE.spell(error.message) if isinstance(error, OrchliteError) else str(error)
        except Exception:
            _log.exception("an examination failed")
            self.failed = "It failed; the server's log says why."
        finally:
            self.started_at = None
