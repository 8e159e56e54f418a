"""One claimed run, straight down: environment, unpack, place, wait, record."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache

from orchlite.core.errors import Closed, IllegalMove, OrchliteError
from orchlite.core.files import private_opener, remove_tree
from orchlite.core.folders import AttemptFolder, RunFolder
from orchlite.core.records import OrchestrationRow, RunResult, RunRow, TaskRow
from orchlite.core.status import FAILED, RunStatus
from orchlite.environments.base_image import HOST
from orchlite.environments.builds import Installation
from orchlite.operations import notification, outcome
from orchlite.operations.context import Assignment, Context
from orchlite.operations.outcome import Ending
from orchlite.operations.packaging import ensure_environment, install_files
from orchlite.runs.spec import Alive, Ended, Lost, NeverStarted, Observation, RunSpec
from orchlite.store.database import Transaction

_ATTEMPTS = 3
_ATTEMPTS_AT_MOST = 50
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_LOCALE = ("LANG", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME")
# LD_LIBRARY_PATH: interpreters that are built with a shared library, and not told where it is, do not start without it.
_PASSED_ON = ("PATH", "HOME", "TZ", "TMPDIR", "LD_LIBRARY_PATH", *_LOCALE, *_CERTIFICATES, *_PROXIES, *map(str.upper, _PROXIES))
_log = logging.getLogger(__name__)


def execute(context: Context, assignment: Assignment) -> None:
    """Start the run, wait for its end, record it. Blocks until then; a failing program is a status, not an exception."""
    run = assignment.run
    folder = context.folder.run(run.run_id)
    spec = _prepared(context, assignment, folder)
    if not assignment.is_claimed():
        remove_tree(folder.path)
        return
    _log.info("run %s of %s begins", run.run_id, _called(assignment.task, assignment.orchestration))
    finalize(context, run, _placed(context, run, folder, spec))


def finalize(context: Context, run: RunRow, observed: Observation) -> None:
    """Record what became of a run that nobody owns any more, and tidy its folder."""
    folder = context.folder.run(run.run_id)
    match observed:
        case Ended():
            _record(context, run, observed.result, observed.attempt)
        case Lost():
            context.process.discard(folder)
            reason = "its runner was killed or the machine went down, so nobody saw how it ended"
            _record(context, run, RunResult(RunStatus.UNKNOWN, None, None, context.clock.now(), None, reason), observed.attempt)
        case NeverStarted() if run.kill_requested:
            _record(context, run, RunResult(RunStatus.KILLED, None, None, context.clock.now(), None, "it was killed before it started"))
        case NeverStarted() if _may_start(context, run):
            _requeue(context, run)
        case NeverStarted():
            reason = "it was claimed, and then nobody saw it start"
            _record(context, run, RunResult(RunStatus.UNKNOWN, None, None, context.clock.now(), None, reason))
        case Alive():
            raise AssertionError("a run that has an owner is not concluded")


def _may_start(context: Context, run: RunRow) -> bool:
    # That its host died says little about the run, unless it happens again and again; that a living one's runners come to nothing does.
    is_hopeless = run.attempt >= (_ATTEMPTS if run.host_id == context.host_id else _ATTEMPTS_AT_MOST)
    return run.boot_id == context.boot_id and not is_hopeless


def _prepared(context: Context, assignment: Assignment, folder: RunFolder) -> RunSpec | Exception:
    """The run's spec, with all that it needs in its folder; or why there is none."""
    try:
        return _prepare(context, assignment, folder)
    except Closed:
        raise
    except Exception as error:
        # Whatever it is, a run that was claimed must not stay without an end.
        _log.warning("run %s could not be prepared", assignment.run.run_id, exc_info=True)
        return error


def _placed(context: Context, run: RunRow, folder: RunFolder, spec: RunSpec | Exception) -> Observation:
    try:
        if isinstance(spec, Exception):
            raise spec
        context.process.place(spec)
    except Closed:
        raise
    except Exception as error:
        status = RunStatus.KILLED if folder.cancel.exists() else RunStatus.FAILURE
        return Ended(run.attempt, RunResult(status, None, None, context.clock.now(), None, f"it could not be started: {error}"))
    return context.process.wait(folder)


def _prepare(context: Context, assignment: Assignment, folder: RunFolder) -> RunSpec:
    from orchlite.bundles import bundle

    run, task, orchestration = assignment.run, assignment.task, assignment.orchestration
    attempt = folder.attempt(run.attempt)
    for path in (folder.path, attempt.path, attempt.work):
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)  # noqa: PTH102 - quicker than Path.mkdir, on the way to every run
    rebuild = install_files(folder, run.attempt, "packaging.log")
    installation = ensure_environment(context, orchestration, rebuild)
    bundle.unpack(context.bundles.path(orchestration.sha), attempt.work)
    with open(attempt.arguments, "w", encoding="utf-8", opener=private_opener) as file:
        file.write(task.arguments)
    return RunSpec(
        run_id=run.run_id,
        attempt=run.attempt,
        folder=str(folder.path),
        command=(str(installation.python), "-u", orchestration.entrypoint),
        working_folder=str(attempt.work),
        env=_environment(context, assignment, attempt, installation),
        log=str(attempt.log),
        timeout_seconds=task.timeout_seconds,
        grace_seconds=context.settings.grace_seconds,
        log_bytes=context.settings.limits.log_bytes,
        leash=context.settings.leash,
        environment_lock=str(installation.lock),
    )


def _environment(context: Context, assignment: Assignment, attempt: AttemptFolder, installation: Installation) -> Mapping[str, str]:
    task, orchestration = assignment.task, assignment.orchestration
    passed = {name: os.fsdecode(value) for name in _PASSED_ON if (value := os.environb.get(name.encode())) is not None}
    passed["PATH"] = os.pathsep.join([str(installation.python.parent), passed.get("PATH", os.defpath)])
    named = {name: os.environ[name] for name in task.env_passthrough if name in os.environ}
    host = context.environments.host_packages().directories if orchestration.base_image == HOST else ()
    ours = {
        "WALLAROO_TASK_ID": task.task_id,
        "TASK_ID": task.task_id,
        "ORCH_ID": orchestration.orchestration_id,
        "ORCH_SHA": orchestration.sha,
        "ORCH_OWNER_ID": owner_id(),
        "TASK_DEBUG": "true" if task.debug else "false",
        "ORCHLITE_STORE": str(context.folder.path),
        "ORCHLITE_CACHE": str(context.environments.cache),
        "ORCHLITE_RUN_FOLDER": str(attempt.path),
        "ORCHLITE_RUN_TOKEN": assignment.run.run_id,
        "ORCHLITE_SDK": str(context.environments.sdk()),
        "ORCHLITE_HOST_PATHS": os.pathsep.join(host),
    }
    if assignment.run.slot_at is not None:
        ours["ORCHLITE_SCHEDULED_AT"] = assignment.run.slot_at.isoformat()
    return {**passed, **named, **task.env, **ours}


@cache
def owner_id() -> str:
    """A UUID for this Unix account, always the same one."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(os.getuid())))


def _record(context: Context, run: RunRow, result: RunResult, attempt: int | None = None) -> None:
    if context.clock_is_manual:
        result = _at_one_instant(result, context.clock.now())

    def end(transaction: Transaction) -> None:
        outcome.record_end(
            context.store, transaction, Ending(run.run_id, run.task_id, result, attempt, context.host_id), context.clock.now()
        )

    try:
        context.commit_eventually(end, run.run_id)
    except IllegalMove:
        return  # another host imported the result first
    _log_end(context, run, result)
    if context.settings.keep_work != "all":
        context.cleaner.schedule(run.run_id)
    notification.notify(context, run.run_id, result.status)


def _log_end(context: Context, run: RunRow, result: RunResult) -> None:
    level = logging.WARNING if result.status in FAILED else logging.INFO
    if _log.isEnabledFor(level):
        how = result.reason if result.exit_code is None else f"exit code {result.exit_code}"
        _log.log(level, "run %s of %s: %s", run.run_id, _task_called(context, run), f"{result.status}, {how}" if how else result.status)


def _task_called(context: Context, run: RunRow) -> str:
    try:
        task = context.store.tasks.get(run.task_id)
        return _called(task, context.store.orchestrations.get(task.orchestration_id))
    except OrchliteError:  # the end is recorded, and whoever did it has more to do
        return f"task {run.task_id}"


def _called(task: TaskRow, orchestration: OrchestrationRow) -> str:
    """What the log calls a run's task: by its name, else by that of what it runs."""
    return repr(task.name or orchestration.name or orchestration.file_name)


def _at_one_instant(result: RunResult, now: datetime) -> RunResult:
    """The times of rows are the store's clock's, for which a real run takes no time."""
    has_run = result.started_at is not None
    return result._replace(started_at=now if has_run else None, ended_at=now, duration_seconds=0.0 if has_run else None)


def _requeue(context: Context, run: RunRow) -> None:
    now, reason = context.clock.now(), "it was never started"
    with suppress(IllegalMove):
        context.commit_eventually(
            lambda transaction: context.store.runs.requeue(transaction, run.run_id, now, reason, attempt=run.attempt), run.run_id
        )
