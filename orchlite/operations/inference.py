"""Infers with deployed pipelines, logs every inference, and reads the logs.

Import it where it is needed, inside functions: a process that does not infer should not pay for the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from orchlite.core.errors import BadArgument, Conflict, WaitTimeout
from orchlite.core.hints import Argument, PythonOnly
from orchlite.core.model_records import InferenceLogRow, StoppedBy
from orchlite.core.settings import MEBIBYTE
from orchlite.core.threads import start_daemon
from orchlite.inference import arrow, engine, frames, log_batches
from orchlite.inference import libraries as lib
from orchlite.inference.columns import Inputs
from orchlite.inference.results import InferenceResult
from orchlite.inference.selection import DEFAULT, Selection
from orchlite.operations.context import Context
from orchlite.operations.inference_plans import InferencePlans, Plan
from orchlite.store.store import Store

LOG_LIMIT = 100
"""How many records of logs are returned by default, where no dates are given."""

_LOG_BYTES = 100 * MEBIBYTE
_RECORD_BYTES = 999 * 1_000_000
"""SQLite stores rows of at most 1,000,000,000 bytes (SQLITE_MAX_LENGTH, sqlite.org/limits.html)."""
_NO_LIMIT = 2**31
_plans: WeakKeyDictionary[Store, InferencePlans] = WeakKeyDictionary()
_MILLISECONDS = 1000


class LogPosition(NamedTuple):
    """A place between two records of a pipeline's logs."""

    at: datetime
    """The time of a log."""
    log_id: int
    rows: int
    """How many records of that log are before the place."""


class InferenceLogs(NamedTuple):
    """What was read of a pipeline's logs."""

    table: Any
    """Of pyarrow; without columns if there are no records."""
    stopped_by: StoppedBy | None
    """Which limit, or change of columns, left out further records; None if there are no others."""
    end: LogPosition | None
    """Where these begin; None if there are no others."""

    def records(self) -> list[dict[str, Any]]:
        """Return a dictionary for each record, as JSON takes it but for the times, which are aware, UTC."""
        return log_batches.to_records(self.table)


def infer(context: Context, pipeline_id: int, data: Any, *, timeout_seconds: float | None = None) -> InferenceResult:
    """Infer with what is deployed, and log the result. Block until both are done, or until the time limit has passed.

    data: a DataFrame, an Arrow table, a dictionary of columns or a list of records; or columns that one of them was converted to.
    timeout_seconds: by default there is none. A model that is late continues, and is logged, in a thread of its own.

    Raises:
        NotFound: there is no such pipeline.
        Conflict: it is not deployed, or a model of it was deleted.
        BadArgument: the data is of another type.
        BadData: the data does not fit the models.
        BadModel: the file of a model is gone, was changed, or is no model, or requires what is not installed.
        InferenceFailed: a model failed, or a step is of a kind that orchlite does not run.
        MissingExtra: a package is not installed.
        WaitTimeout: the time limit has passed.
        ResourceExhausted, StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the result cannot be logged.
    """
    plan = deployed_plan(context, pipeline_id)
    inputs = _inputs(data)
    if timeout_seconds is None:
        return _logged(context, pipeline_id, plan, inputs)
    return _within(timeout_seconds, lambda: _logged(context, pipeline_id, plan, inputs))


def deployed_plan(context: Context, pipeline_id: int) -> Plan:
    """Return what is deployed of a pipeline.

    Raises:
        NotFound: there is no such pipeline.
        Conflict: it is not deployed, or a model of it was deleted.
        BadModel: the file of a model is gone, was changed, or is no model, or requires what is not installed.
        InferenceFailed: a step is of a kind that orchlite does not run.
        MissingExtra: a package that loads a model is not installed.
    """
    version_id = context.store.deployments.deployed_version(pipeline_id)
    if version_id is None:
        name = context.store.pipelines.get(pipeline_id).name
        raise Conflict(
            f"Pipeline {name!r} is not deployed.", hint="Deploy it first" + PythonOnly(": pipeline.deploy()") + ".", pipeline=name
        )
    return _plans_of(context).get(version_id)


def read_logs(
    context: Context,
    pipeline_id: int,
    *,
    limit: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    selection: Selection = DEFAULT,
    position: LogPosition | None = None,
) -> InferenceLogs:
    """Return the records of a pipeline's inferences: the newest first, or all from `since` to `until`, the oldest first.

    limit: by default 100, and with dates none; never more than 100 MiB. since, until: aware, inclusive. position: where to continue.

    Raises:
        BadArgument: only one of the dates was given.
        MissingExtra: pyarrow is not installed.
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the store cannot be read.
    """
    _check_dates(since, until)
    by_dates = since is not None
    known = limit if limit is not None else _NO_LIMIT if by_dates else LOG_LIMIT
    page = context.store.inference_logs.read(
        pipeline_id,
        known + (position.rows if position else 0),
        size_limit_bytes=_LOG_BYTES,
        since=since,
        until=until,
        oldest_first=by_dates,
        position=position[:2] if position else None,
    )
    skipped = position.rows if position and page.logs and page.logs[0].log_id == position.log_id else 0
    batches = [log.data for log in page.logs]
    table = log_batches.joined(batches, is_reversed=not by_dates, skipped=skipped, limit=known, selection=selection)
    end = _end(page.logs, skipped + known, oldest_first=by_dates) if page.stopped_by and page.logs else None
    return InferenceLogs(table, page.stopped_by, end)


def _check_dates(since: datetime | None, until: datetime | None) -> None:
    if (since is None) != (until is None):
        raise BadArgument(
            "Only one of the dates was given.",
            hint="Give both " + Argument("start_datetime") + " and " + Argument("end_datetime") + ", or none.",
            argument="start_datetime" if since is None else "end_datetime",
        )


def _end(logs: Sequence[InferenceLogRow], row_count: int, *, oldest_first: bool) -> LogPosition:
    """Return the place behind the first `row_count` records of some logs, or behind all of them."""
    for log in logs:
        if row_count < log.row_count:
            return LogPosition(log.at, log.log_id, row_count)
        row_count -= log.row_count
    return LogPosition(logs[-1].at, logs[-1].log_id + (1 if oldest_first else -1), 0)


def _plans_of(context: Context) -> InferencePlans:
    plans = _plans.get(context.store)
    if plans is None:
        plans = _plans[context.store] = InferencePlans(context.store, context.model_files)
    return plans


def _inputs(data: Any) -> Inputs:
    if isinstance(data, Inputs):
        return data
    if lib.is_frame(data):
        return frames.from_frame(data)
    if lib.is_table(data):
        return arrow.from_table(data)
    if isinstance(data, Mapping) or (isinstance(data, Sequence) and not isinstance(data, str | bytes)):
        return frames.from_json(data)
    message = f"The data is of type {type(data).__name__}."
    raise BadArgument(
        message, hint="It takes a DataFrame, an Arrow table, a dictionary of columns or a list of records.", argument="tensor"
    )


def _logged(context: Context, pipeline_id: int, plan: Plan, inputs: Inputs) -> InferenceResult:
    at_ms = int(context.clock.now().timestamp() * _MILLISECONDS)
    result = engine.run(plan.steps, inputs, plan.models, at_ms=at_ms, pipeline_version=plan.version)
    limits = context.settings.limits
    size_bytes = min(limits.inference_log_bytes, _RECORD_BYTES)
    batch = log_batches.encode(result, size_limit_bytes=size_bytes, record_limit_bytes=_RECORD_BYTES)
    at = datetime.fromtimestamp(at_ms / _MILLISECONDS, UTC)
    log = InferenceLogRow(0, pipeline_id, at, batch.row_count, len(batch.data), batch.schema_key, batch.data)
    logs = context.store.inference_logs
    with logs.transaction() as transaction:
        logs.insert(transaction, log, row_limit=limits.inference_log_rows, size_limit_bytes=limits.inference_log_bytes)
    return result


def _within(timeout_seconds: float, call: Callable[[], InferenceResult]) -> InferenceResult:
    """Make the call in a thread of its own, in which one that is late continues."""
    attempt: Future[InferenceResult] = Future()

    def run() -> None:
        try:
            attempt.set_result(call())
        except BaseException as error:
            attempt.set_exception(error)

    start_daemon(run, "orchlite-inference")
    wait([attempt], timeout_seconds)
    if not attempt.done():
        message = f"Inference did not return within {timeout_seconds:g} s."
        raise WaitTimeout(message, hint="Give a longer " + Argument("timeout") + ", or fewer rows.", timeout_seconds=timeout_seconds)
    return attempt.result()
