"""Inference by `wallaroo.Pipeline`: what it takes, returns, raises and writes, as in the platform's SDK. The models run in this process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchlite.core.errors import WaitTimeout
from orchlite.core.model_records import PipelineRow
from orchlite.engine.engine import Engine
from orchlite.inference import batches, data_files, log_batches
from orchlite.inference import libraries as lib
from orchlite.inference.results import InferenceResult
from orchlite.inference.selection import Selection
from orchlite.operations import inference

from ._api_errors import InferenceError, InferenceTimeoutError, as_api_error

_SUFFIXES = (".arrow", ".json")
_FORMATS = (data_files.RECORDS, data_files.CUSTOM_JSON, data_files.ARROW)
_MORE_LOGS = {
    "rows": "Warning: There are more logs available. Please set a larger limit or request a file using export_logs.",
    "bytes": "Warning: Pipeline log size limit exceeded. Please request logs using export_logs",
}


class Inference:
    """Runs the deployed steps of a pipeline, and reads what they were given and returned."""

    _engine: Engine
    _row: PipelineRow

    def infer(
        self,
        tensor: Any,
        timeout: float | None = None,
        dataset: list[str] | None = None,
        dataset_exclude: list[str] | None = None,
        dataset_separator: str | None = None,
    ) -> Any:
        """Run the pipeline on a DataFrame, an Arrow table, or a dictionary or list; return a DataFrame, a table or a list.

        timeout: seconds. By default there is no limit: the platform's is 15 s, but a laptop is slower. A model that is late is logged.
        dataset, dataset_exclude: the groups and columns to return, by default `["*"]`, which is all but `metadata`.
        dataset_separator: what stands between a group and a name, by default a dot.

        Raises:
            RuntimeError: the pipeline was never deployed.
            TypeError: `tensor` or `timeout` has another type.
            wallaroo.exceptions.InferenceError: the pipeline was undeployed, the data does not fit, or a model failed.
            wallaroo.exceptions.InferenceTimeoutError: it took longer than `timeout`.
        """
        selection = Selection(_listed(dataset), _listed(dataset_exclude), dataset_separator)
        try:
            _check_timeout(timeout)
            _check_data(tensor)
            return self._infer(tensor, timeout).returned(selection)
        except (TypeError, InferenceError):
            self._require_deployment()  # which the SDK does first; here it would cost each inference one more reading of the store
            raise

    def infer_from_file(
        self,
        filename: str | Path,
        data_format: str | None = None,
        timeout: float | None = None,
        dataset: list[str] | None = None,
        dataset_exclude: list[str] | None = None,
        dataset_separator: str | None = None,
    ) -> Any:
        """Run the pipeline on a file, `.arrow` or `.json`; see `infer`.

        data_format: `arrow`, `pandas-records` or `custom-json`; by default the suffix says it, and `.json` means `pandas-records`.

        Raises:
            RuntimeError: the pipeline was never deployed.
            TypeError: the suffix or the format is unknown.
            ValueError: the file is not in its format.
            OSError: it cannot be read.
            wallaroo.exceptions.InferenceError: as `infer`.
            wallaroo.exceptions.InferenceTimeoutError: as `infer`.
        """
        self._require_deployment()
        tensor = _read(Path(filename), data_format)
        return self.infer(tensor, timeout, dataset, dataset_exclude, dataset_separator)

    async def parallel_infer(
        self,
        tensor: Any = None,
        batch_size: int | None = 1,
        timeout: float | None = None,
        num_parallel: int | None = None,
        retries: int | None = None,
        dataset: list[str] | None = None,
        dataset_exclude: list[str] | None = None,
        dataset_separator: str | None = None,
        *,
        tensor_list: list[Any] | None = None,
    ) -> Any:
        """Run the pipeline on batches of a DataFrame or an Arrow table; return one such of all rows, in their order.

        If a batch failed, there is a column `error`; if all did, only that. The batches run one after the other, in this thread.

        tensor_list: until 2023.4, several things to infer; the results are returned as a list, exceptions among them.
        num_parallel, retries: without effect.

        Raises:
            RuntimeError: the pipeline was never deployed.
            ValueError: `tensor` is neither, or there is no batch size.
        """
        arguments = (timeout, dataset, dataset_exclude, dataset_separator)
        if tensor_list is not None:
            self._require_deployment(f"Pipeline {self!r} is not deployed")
            return await self._infer_each(tensor_list, arguments)
        if not (lib.is_frame(tensor) or lib.is_table(tensor)):
            raise ValueError("tensor must be a pandas DataFrame or a pyarrow Table")
        if not batch_size:
            raise ValueError("batch_size must be a positive integer and cannot be None or 0")
        self._require_deployment(f"Pipeline {self!r} is not deployed")
        parts = batches.split(tensor, batch_size)
        return batches.joined(parts, await self._infer_each(parts, arguments))

    def logs(
        self,
        limit: int | None = None,
        start_datetime: datetime | None = None,
        end_datetime: datetime | None = None,
        valid: bool | None = None,
        dataset: list[str] | None = None,
        dataset_exclude: list[str] | None = None,
        dataset_separator: str | None = None,
        arrow: bool | None = False,
    ) -> Any:
        """Return logged inferences as a DataFrame or, with `arrow`, as a table; its columns are those of `infer`.

        Without dates the newest `limit` records, 100 by default, newest first; with dates, which are local time unless they are aware, the
        records of that time, oldest first. What was left out is said on stderr. With `valid=False`, return none: only what succeeded is
        logged.

        Raises:
            Exception: only one of the dates is given.
        """
        if (start_datetime is None) != (end_datetime is None):
            raise Exception("Please provide both start datetime and end datetime together.")  # class and text as in the SDK
        dates = [None if at is None else at.astimezone(UTC) for at in (start_datetime, end_datetime)]
        found = inference.read_logs(
            self._engine.context,
            self._row.pipeline_id,
            limit=0 if valid is False else limit,
            since=dates[0],
            until=dates[1],
            selection=Selection(_listed(dataset), _listed(dataset_exclude), dataset_separator),
        )
        if valid is not False:
            _say_what_is_missing(found, "newest" if start_datetime is None else "oldest")
        return found.table if arrow else log_batches.to_frame(found.table)

    async def _infer_each(self, tensors: Sequence[Any], arguments: tuple[Any, ...]) -> list[Any]:
        """Return the result of each; for one that failed, its exception."""
        results: list[Any] = []
        for tensor in tensors:
            try:
                results.append(self.infer(tensor, *arguments))
            except Exception as error:
                results.append(error)
            await asyncio.sleep(0)  # lets the program's other coroutines run
        return results

    def _infer(self, tensor: Any, timeout: float | None) -> InferenceResult:
        try:
            with as_api_error(InferenceError):
                return inference.infer(self._engine.context, self._row.pipeline_id, tensor, timeout_seconds=timeout)
        except InferenceError as error:
            if isinstance(error.__cause__, WaitTimeout):
                raise _timed_out(timeout, tensor) from error.__cause__
            raise

    def _require_deployment(self, text: str = "Pipeline {self.name} is not deployed") -> None:
        # The SDK's text, which lacks the f before its quotes.
        if self._engine.store.deployments.of_pipeline(self._row.pipeline_id) is None:
            raise RuntimeError(text)


def _check_timeout(timeout: object) -> None:
    if timeout is not None and not isinstance(timeout, int | float):
        raise TypeError(f"timeout is {type(timeout)} but 'int' or 'float' is required")


def _timed_out(timeout: object, tensor: object) -> Exception:
    if isinstance(tensor, dict | list):
        return RuntimeError(f"Inference did not return within {timeout}s, adjust if necessary")
    return InferenceTimeoutError(f"Inference did not return within {timeout}s. Adjust the timeout if necessary.")


def _check_data(tensor: object) -> None:
    if not (isinstance(tensor, dict | list) or lib.is_frame(tensor) or lib.is_table(tensor)):
        raise TypeError(f"tensor is of type {type(tensor)} but 'pandas.DataFrame', 'pyarrow.Table', dict or list is required")


def _listed(names: Any) -> Any:
    """Return the names as a list: the SDK sends a single text as if it were one."""
    return [names] if isinstance(names, str) else names


def _read(path: Path, data_format: str | None) -> Any:
    if data_format and data_format not in _FORMATS:
        raise TypeError("Not an accepted data_format, it can only be 'pandas-record', 'custom-json' or 'arrow'.")
    suffix = path.suffix.lower()
    if not data_format and suffix not in _SUFFIXES:
        raise TypeError(f" File is of type {suffix}, but only '.arrow' or '.json' are accepted")
    with path.open("rb"):
        pass  # a file that cannot be read is Python's error, as with the SDK
    return data_files.read(path, data_format)


def _say_what_is_missing(found: inference.InferenceLogs, first: str) -> None:
    """Write the SDK's notices to stderr; those about a limit have no end of line there either."""
    if found.stopped_by == "schema":
        sys.stderr.write(
            f"Pipeline log schema has changed over the logs requested {found.table.num_rows} {first} records retrieved successfully, "
            f"{first} record seen was at <datetime>. Please request additional records separately\n"
        )
    elif found.stopped_by is not None:
        sys.stderr.write(_MORE_LOGS[found.stopped_by])
