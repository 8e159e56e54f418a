"""What a scheduler does once a minute to show that schedules are kept.

The scheduler's own thread calls it between two steps, so that a scheduler that fails or is stuck shows nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orchlite.operations import liveness
from orchlite.operations.context import Context

_INTERVAL = timedelta(minutes=1)


class VitalSigns:
    """The signs of life of one scheduler. Not thread-safe."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._shown_at = datetime.min.replace(tzinfo=UTC)

    def seconds_until_due(self) -> float:
        """Return the seconds after which to call `show`."""
        # By the clock that can be set, which also runs while the machine sleeps: after that the sign is old, and due.
        elapsed = self._context.clock.now() - self._shown_at
        return (_INTERVAL - elapsed).total_seconds() if timedelta(0) <= elapsed < _INTERVAL else 0.0

    def show(self) -> None:
        """Leave a sign of life, if it is due."""
        if self.seconds_until_due() > 0:
            return
        self._shown_at = self._context.clock.now()
        liveness.leave_sign(self._context.folder.hosts, self._context.host_id, self._shown_at)
