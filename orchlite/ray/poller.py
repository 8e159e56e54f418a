"""One thread that polls a cluster for all runs that a host waits for."""

from __future__ import annotations

import logging
import threading
import time

from orchlite.core.errors import Closed
from orchlite.core.hints import PythonOnly
from orchlite.core.threads import start_daemon
from orchlite.ray.jobs_api import NoResponse
from orchlite.ray.log_copy import ClosableLock
from orchlite.ray.watch import Watch
from orchlite.runs.spec import Observation

_PAUSE_SECONDS = 0.5
_MOST_PAUSE_SECONDS = 10.0
_SHARE = 4
"""The pause is that many times as long as the poll before it: a busy or distant cluster is asked less often."""
_log = logging.getLogger(__name__)


class _Waiter:
    """A thread that waits for the outcome of a run."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.has_outcome = threading.Event()
        self.outcome: Observation | None = None
        self.has_failed = False
        """Whether an error of polling was logged."""

    def end(self, outcome: Observation | None) -> None:
        self.outcome = outcome
        self.has_outcome.set()


class Poller:
    """Polls while there are runs to wait for. Thread-safe."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self.lock_of_logs = ClosableLock()
        """Closed with this poller: afterwards, no log is written any more."""
        self._lock = threading.Lock()
        self._waiters: list[_Waiter] = []
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def wait(self, watch: Watch) -> Observation:
        """Block until the run has an outcome.

        Raises:
            Closed: `close` was called.
            ResourceExhausted: the system allows no more threads.
        """
        waiter = _Waiter(watch)
        with self._lock:
            self.check_open()
            if self._thread is None or not self._thread.is_alive():
                self._thread = start_daemon(self._poll_all, "orchlite-ray")
            self._waiters.append(waiter)
        waiter.has_outcome.wait()
        if waiter.outcome is None:
            raise Closed("This client is closed.", hint="The next host of the store with this cluster waits for the run.")
        return waiter.outcome

    def check_open(self) -> None:
        """Raise `Closed` if `close` was called."""
        if self._closed.is_set():
            raise Closed("The client of this cluster is closed.", hint=PythonOnly("Give each Client a RayJobs of its own."))

    def close(self) -> None:
        """Let `wait` raise `Closed`, in every thread. A request that is under way has no further effect."""
        self._closed.set()
        self.lock_of_logs.close()
        with self._lock:
            for waiter in self._waiters:
                waiter.end(None)
            self._waiters.clear()

    def _poll_all(self) -> None:
        """Poll until no thread waits any more."""
        while True:
            with self._lock:
                if not self._waiters:
                    self._thread = None
                    return
                waiters = list(self._waiters)
            begun = time.monotonic()
            self._poll(waiters)
            self._closed.wait(min(_MOST_PAUSE_SECONDS, max(_PAUSE_SECONDS, _SHARE * (time.monotonic() - begun))))

    def _poll(self, waiters: list[_Waiter]) -> None:
        silence: NoResponse | None = None
        for waiter in waiters:
            if self._closed.is_set():
                return
            watch = waiter.watch
            try:
                outcome = watch.silent(silence) if silence else watch.poll()
            except NoResponse as error:
                silence = error
                outcome = watch.silent(error)
            except Closed:  # the next host may copy the log by now
                return
            except Exception:  # of this machine, or a fault: the run continues on the cluster, and is asked for again
                if not waiter.has_failed:
                    waiter.has_failed = True
                    _log.exception("run %s could not be polled; that is tried again", watch.run.run_id)
                continue
            if outcome is not None:
                with self._lock:
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)
                        waiter.end(outcome)
