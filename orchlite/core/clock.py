"""The only reader of time. Layers 1-3 are handed `now`; layers 4 and 5 hold a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that is never set; only differences mean anything."""
        return time.monotonic()
