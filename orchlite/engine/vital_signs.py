"""What a scheduler does once a minute to show that schedules are kept, and where they are not.

The scheduler's own thread calls it between two steps, so that a scheduler that fails or is stuck shows nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from datetime import UTC, datetime, timedelta

from orchlite.core.errors import ResourceExhausted
from orchlite.operations import liveness, notification
from orchlite.operations.context import Context

_INTERVAL = timedelta(minutes=1)
_HEARTBEAT_SECONDS = 30.0
"""Time limit of a heartbeat, shorter than the interval: there is one at a time."""
_log = logging.getLogger(__name__)


class VitalSigns:
    """The signs of life of one scheduler. Not thread-safe."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._shown_at = datetime.min.replace(tzinfo=UTC)

    def begin(self) -> None:
        """Leave the first sign: whoever has started this host may ask at once whether it keeps schedules."""
        liveness.leave_sign(self._context.folder.hosts, self._context.host_id, self._context.clock.now())

    def seconds_until_due(self) -> float:
        """Return the seconds after which to call `show`."""
        # By the clock that can be set, which also runs while the machine sleeps: after that the sign is old, and due.
        elapsed = self._context.clock.now() - self._shown_at
        return (_INTERVAL - elapsed).total_seconds() if timedelta(0) <= elapsed < _INTERVAL else 0.0

    def show(self) -> None:
        """Leave a sign of life, start the heartbeat, and notify of late slots, if it is due.

        Raises:
            StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
        """
        if self.seconds_until_due() > 0:
            return
        now = self._context.clock.now()
        notification.notify_late(self._context)
        liveness.leave_sign(self._context.folder.hosts, self._context.host_id, now)
        self._start_heartbeat()
        self._shown_at = now  # last, so that what failed is repeated

    def _start_heartbeat(self) -> None:
        """Start the heartbeat of this host, if it has one. On a clock moved by hand it is not run: nobody waits for it."""
        command = self._context.settings.heartbeat
        if command is None or self._context.controlled_clock is not None:
            return

        def beat(started: threading.Event) -> None:
            environment = {**os.environ, "ORCHLITE_STORE": str(self._context.folder.path)}
            if problem := notification.run_command(command, environment, _HEARTBEAT_SECONDS, started.set):
                _log.warning("the heartbeat failed: %s", problem)

        try:
            self._context.notifier.start(beat, "orchlite-heartbeat")
        except ResourceExhausted:
            _log.warning("the heartbeat could not be started", exc_info=True)
