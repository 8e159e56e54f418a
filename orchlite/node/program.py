"""Executes the run of one job: fill a temporary store with its rows, have the engine execute it, report what happens, remove the store."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType

from orchlite.core import folders
from orchlite.core.clock import SystemClock
from orchlite.core.errors import DeviceFailed, OrchliteError
from orchlite.core.files import remove_tree
from orchlite.core.folders import StoreFolder
from orchlite.core.private_folders import allows_foreign_owner
from orchlite.core.records import RunRow
from orchlite.core.settings import Limits, Settings
from orchlite.core.threads import start_daemon
from orchlite.engine import recovery, shutdown
from orchlite.engine.engine import Engine
from orchlite.engine.opening import open_engine
from orchlite.environments.environments import Environments, check_installer
from orchlite.node.granted_share import granted_share
from orchlite.node.output import Output
from orchlite.node.received_bundle import find_bundle
from orchlite.node.report import failed_result, killed_result, result_of
from orchlite.operations import jobs
from orchlite.operations.context import Context
from orchlite.runs import job_document, logs
from orchlite.runs.job_document import JobDocument
from orchlite.runs.runners import Runners
from orchlite.runs.spec import RunSpec

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 1.0
"""How long the program has after SIGTERM, if this process got one: three seconds later a cluster kills everything."""
_STOPPING_SECONDS = 2.5


class Stop:
    """Whether this process has received SIGTERM, and when."""

    def __init__(self) -> None:
        self.at: datetime | None = None
        self._deadline = float("inf")

    def request(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Note the first signal; a signal handler."""
        if self.at is None:
            self.at = datetime.now(UTC)
            self._deadline = time.monotonic() + _STOPPING_SECONDS

    def is_overdue(self) -> bool:
        """Return whether the result must be written now."""
        return time.monotonic() >= self._deadline


def execute(content: bytes) -> int:
    """Execute the job of this document in the current process; return the exit code."""
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.request)
    output = Output()
    document = job_document.decoded(content)
    document = document._replace(task=document.task._replace(env={**granted_share(), **document.task.env}))
    try:
        with _opened(document, output) as engine:
            run = _Execution(engine, document, output, stop).run()
            _report_end(engine.context, document, run, output, stop)
            if run is None:  # it does not end in time; its runner ends it when this process is gone
                os._exit(1)
    except Exception as error:
        if not isinstance(error, OrchliteError):
            traceback.print_exc(file=sys.stderr)
        is_stopped, started_at_ns = stop.at is not None, output.started_at_ns
        failed = killed_result(document.run, started_at_ns) if is_stopped else failed_result(document.run, started_at_ns, error)
        output.result(failed, is_urgent=is_stopped)
    with suppress(OSError):
        recovery.sweep_temporary_stores(folders.temporary_store_folders())
    return 0 if output.has_succeeded else 1


def _report_end(context: Context, document: JobDocument, run: RunRow | None, output: Output, stop: Stop) -> None:
    result = killed_result(document.run, output.started_at_ns) if run is None else result_of(context, document.run, run, stop.at)
    result["log_complete"] &= output.is_complete
    output.result(result, is_urgent=stop.at is not None)


@contextmanager
def _opened(document: JobDocument, output: Output) -> Iterator[Engine]:
    """Open a store with the rows and the bundle of the job; kill what runs and remove it when the block ends."""
    bundle = find_bundle(document.orchestration.sha)
    folder = folders.temporary_store_folder()
    try:
        engine = _engine(folder, document, _ReportingRunners(folder.diagnostics, document.run.run_id, output))
    except BaseException:
        remove_tree(folder.path)
        raise
    try:
        folder.node_mark.touch(mode=0o600)
        jobs.insert(engine.context, document)
        engine.context.bundles.path(document.orchestration.sha).symlink_to(bundle)
        yield engine
    finally:
        shutdown.close_temporary(engine, _GRACE_SECONDS)


def _engine(folder: StoreFolder, document: JobDocument, runners: Runners) -> Engine:
    wanted = document.settings
    check_installer(wanted.installer)
    settings = Settings(
        workers=1,
        limits=Limits(log_bytes=wanted.log_bytes),
        installer=wanted.installer,
        index_urls=wanted.index_urls,
        install_timeout_seconds=wanted.install_timeout_seconds,
        grace_seconds=wanted.grace_seconds,
        standby_seconds=0,
        keep_work="all",  # the whole store is removed soon
        allow_foreign_owner=allows_foreign_owner(),
        leash=True,
    )
    cache = folders.own_cache_folder(allow_foreign_owner=settings.allow_foreign_owner)
    environments = Environments(cache, installer=settings.installer, index_urls=settings.index_urls)
    return open_engine(folder, environments, SystemClock(), settings, runners)


class _ReportingRunners(Runners):
    """The runners of this machine. Before they start the program, the output says so: else it might be taken for one that never ran."""

    def __init__(self, diagnostics: Path, run_id: str, output: Output) -> None:
        super().__init__(diagnostics)
        self._run_id = run_id
        self._output = output

    def place(self, spec: RunSpec) -> None:
        """Send the run to a runner; see `Runners.place`.

        Raises:
            Closed, OSError: as there; or the output cannot be written.
        """
        if spec.run_id == self._run_id:  # not its installer
            self._output.starting()
        super().place(spec)


class _Execution:
    """Has the engine execute the run, and reports its log and its start meanwhile."""

    def __init__(self, engine: Engine, document: JobDocument, output: Output, stop: Stop) -> None:
        self._engine = engine
        self._context = engine.context
        self._run_id = document.run.run_id
        self._folder = engine.context.folder.run(document.run.run_id)
        self._output = output
        self._stop = stop
        self._is_stopping = False
        self._attempt = 0
        self._records = logs.record_reader(self._folder.attempt(0).log)

    def run(self) -> RunRow | None:
        """Block until the run has ended; return its row. None: it was to be stopped, and has not ended in time."""
        self._engine.start()
        with self._context.changes.subscribed(self._run_id) as changed:
            while True:
                run = self._context.store.runs.get(self._run_id)
                self._report(run)
                if run.status.is_final:
                    return run
                if self._context.closed.is_set():
                    raise self._context.failure or DeviceFailed("The node's temporary store cannot be used any more.")
                if self._is_overdue():
                    return None
                changed.wait(_POLL_SECONDS)

    def _is_overdue(self) -> bool:
        """Begin to stop the run if that was requested, or nothing is left to report to; return whether that takes too long."""
        if self._output.is_closed:
            self._stop.request()
        if self._stop.at is not None and not self._is_stopping:
            self._is_stopping = True
            start_daemon(partial(self._engine.kill_all, _GRACE_SECONDS), "orchlite-stop")
        return self._stop.is_overdue()

    def _report(self, run: RunRow) -> None:
        if run.attempt != self._attempt:
            self._attempt = run.attempt
            self._records = logs.record_reader(self._folder.attempt(run.attempt).log)
        with suppress(DeviceFailed):
            self._output.log(self._records())
