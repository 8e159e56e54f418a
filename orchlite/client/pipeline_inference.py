"""Inference with a deployed pipeline, and its logs. The models run in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchlite.core.arguments import checked_count, checked_flag, checked_path, checked_seconds
from orchlite.core.durations import Duration
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument
from orchlite.engine.engine import Engine

if TYPE_CHECKING:
    from orchlite.inference.selection import Selection

_MAX_PARALLEL = 64


class PipelineInference:
    """What a pipeline does while it is deployed."""

    _engine: Engine

    def id(self) -> int:
        """Return the pipeline's id."""
        raise NotImplementedError

    def infer(
        self,
        tensor: Any,
        timeout: Duration | None = None,
        dataset: Sequence[str] | None = None,
        dataset_exclude: Sequence[str] | None = None,
        dataset_separator: str | None = None,
    ) -> Any:
        """Run the deployed steps on data, log the result, and return it in the data's form. Block until then.

        tensor: a DataFrame or an Arrow table, with a column for each input of the first model; or JSON: a dictionary of columns, or a list
            of records, which returns a list of dictionaries of the outputs alone. Other columns are returned as they are.
        timeout: seconds, a `timedelta`, or a text such as `"5m"`; by default there is none. A model that is late
            continues in a thread, and its result is logged.
        dataset: groups of columns to return (`time`, `in`, `out`, `anomaly`, `metadata`, or `*` for all but metadata), or columns such as
            `out.x`; by default `["*"]`.
        dataset_exclude: groups and columns to leave out, unless `dataset` names the column itself.
        dataset_separator: what stands between a group and a name, by default a dot.

        Raises:
            BadArgument: an argument is refused.
            BadData: the data does not fit the models; the message names the column.
            Conflict: the pipeline is not deployed, or a model of it was deleted.
            NotFound: the pipeline was deleted.
            BadModel: the file of a model is gone, was changed, or cannot be loaded.
            InferenceFailed: a model failed, or a step is of a kind that orchlite does not run.
            MissingExtra: the extra `inference` is not installed, or, for validations, `validations`.
            WaitTimeout: the time limit has passed.
        """
        from orchlite.operations import inference

        selection = _selection(dataset, dataset_exclude, dataset_separator)
        seconds = None if timeout is None else checked_seconds(timeout, "timeout")
        return inference.infer(self._engine.context, self.id(), tensor, timeout_seconds=seconds).returned(selection)

    def infer_from_file(
        self,
        filename: str | os.PathLike[str],
        data_format: str | None = None,
        timeout: Duration | None = None,
        dataset: Sequence[str] | None = None,
        dataset_exclude: Sequence[str] | None = None,
        dataset_separator: str | None = None,
    ) -> Any:
        """Run the deployed steps on a file's data; otherwise as `infer`.

        data_format: `"arrow"` (an Arrow IPC file), `"pandas-records"` (a JSON list of dictionaries with the same keys) or `"custom-json"`
            (any JSON that `infer` takes); by default `.arrow` and `.json` mean the first two.

        Raises:
            BadArgument: an argument is refused, or the file cannot be read.
            BadData: the file is not in its format, or the data does not fit the models.
            Conflict, NotFound, BadModel, InferenceFailed, MissingExtra, WaitTimeout: as `infer`.
        """
        from orchlite.inference import data_files

        data = data_files.read(checked_path(filename, "filename"), data_format)
        return self.infer(data, timeout, dataset, dataset_exclude, dataset_separator)

    async def parallel_infer(
        self,
        tensor: Any,
        batch_size: int = 1,
        timeout: Duration | None = None,
        num_parallel: int = 1,
        dataset: Sequence[str] | None = None,
        dataset_exclude: Sequence[str] | None = None,
        dataset_separator: str | None = None,
    ) -> Any:
        """Run the deployed steps on batches of a DataFrame or an Arrow table, in threads; return one of all rows, in their order.

        If batches failed, their rows have no values but a text in the column `error`. The other arguments are those of `infer`.

        batch_size: the number of rows of a batch.
        num_parallel: how many batches are inferred at a time, 1 to 64.

        Raises:
            BadArgument: an argument is refused.
            MissingExtra: the extra `inference` is not installed.
        """
        import asyncio  # with what it imports, it would double the time to open a client

        from orchlite.inference import batches

        rows, at_a_time = checked_count(batch_size, "batch_size", 1), checked_count(num_parallel, "num_parallel", 1, _MAX_PARALLEL)
        turns = asyncio.Semaphore(at_a_time)

        async def infer(batch: Any) -> Any:
            async with turns:
                return await asyncio.to_thread(self.infer, batch, timeout, dataset, dataset_exclude, dataset_separator)

        parts = batches.split(tensor, rows)
        results = await asyncio.gather(*map(infer, parts), return_exceptions=True)
        return batches.joined(parts, results)

    def logs(
        self,
        limit: int | None = None,
        start_datetime: datetime | None = None,
        end_datetime: datetime | None = None,
        dataset: Sequence[str] | None = None,
        dataset_exclude: Sequence[str] | None = None,
        dataset_separator: str | None = None,
        *,
        arrow: bool = False,
    ) -> Any:
        """Return the records of inferences, by any process, as a DataFrame or, with `arrow`, an Arrow table.

        Without dates, the newest come first; with both, the oldest, from the first date to the second, inclusive. The columns are those of
        `infer`; where they change, the result ends. The other arguments are those of `infer`.

        limit: by default 100, and with dates none.
        start_datetime, end_datetime: without a time zone, they are local time.

        Raises:
            BadArgument: an argument is refused, or only one of the dates was given.
            MissingExtra: the extra `inference` is not installed.
        """
        from orchlite.inference import log_batches
        from orchlite.operations import inference

        table = inference.read_logs(
            self._engine.context,
            self.id(),
            limit=None if limit is None else checked_count(limit, "limit", 1),
            since=_aware(start_datetime, "start_datetime"),
            until=_aware(end_datetime, "end_datetime"),
            selection=_selection(dataset, dataset_exclude, dataset_separator),
        ).table
        return table if checked_flag(arrow, "arrow") else log_batches.to_frame(table)


def _selection(dataset: object, exclude: object, separator: object) -> Selection:
    from orchlite.inference.selection import Selection

    if not isinstance(separator, str | None):
        raise BadArgument(Argument("dataset_separator") + f" is {separator!r:.80}.", hint="It takes a text.", argument="dataset_separator")
    return Selection(_names(dataset, "dataset"), _names(exclude, "dataset_exclude"), separator)


def _names(names: object, argument: str) -> Sequence[str] | None:
    known = [names] if isinstance(names, str) else names
    if known is not None and not (isinstance(known, Sequence) and all(isinstance(name, str) for name in known)):
        hint = 'It takes a list of groups and columns: ["time", "out.x"].'
        raise BadArgument(Argument(argument) + f" is {names!r:.80}.", hint=hint, argument=argument)
    return known


def _aware(moment: object, argument: str) -> datetime | None:
    if moment is not None and not isinstance(moment, datetime):
        raise BadArgument(Argument(argument) + f" is {moment!r:.80}.", hint="It takes a datetime.", argument=argument)
    return None if moment is None else moment.astimezone(UTC)  # one without a time zone is local time
