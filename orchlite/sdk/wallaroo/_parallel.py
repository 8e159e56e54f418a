"""Many inferences by one call: a table or a DataFrame in batches, or a list of anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from orchlite.inference import libraries as lib

Infer = Callable[[Any], Any]


async def one_by_one(infer: Infer, tensors: Sequence[Any]) -> list[Any]:
    """Return the result of each; for one that failed, its exception."""
    results = []
    for tensor in tensors:
        try:
            results.append(infer(tensor))
        except Exception as error:
            results.append(error)
        await asyncio.sleep(0)  # lets the program's other coroutines run
    return results


async def in_batches(infer: Infer, tensor: Any, batch_size: int) -> Any:
    """Return the results of all batches as one; with a column `error` if some failed, and nothing else if all did."""
    kind = _Frames if hasattr(tensor, "iloc") else _Tables
    batches = kind.split(tensor, batch_size)
    results = await one_by_one(infer, batches)
    good = next((result for result in results if not isinstance(result, Exception)), None)
    if good is None:
        return kind.of_errors(results)
    parts, texts = [], []
    for batch, result in zip(batches, results, strict=True):
        has_failed = isinstance(result, Exception)
        parts.append(kind.blank(good, len(batch)) if has_failed else result)
        texts += [str(result) if has_failed else ""] * len(batch)
    is_whole = not any(isinstance(result, Exception) for result in results)
    return kind.joined(parts) if is_whole else kind.with_errors(kind.joined(parts), texts)


class _Frames:
    """What is to be done with DataFrames of pandas."""

    @staticmethod
    def split(frame: Any, size: int) -> list[Any]:
        return [frame.iloc[start : start + size].reset_index(drop=True) for start in range(0, len(frame), size)]

    @staticmethod
    def joined(parts: list[Any]) -> Any:
        return lib.pd.concat(parts, ignore_index=True)

    @staticmethod
    def blank(like: Any, row_count: int) -> Any:
        return lib.pd.DataFrame("", index=range(row_count), columns=like.columns)

    @staticmethod
    def with_errors(frame: Any, texts: list[str]) -> Any:
        return frame.assign(error=texts)

    @staticmethod
    def of_errors(errors: list[Any]) -> Any:
        return lib.pd.DataFrame({"error": errors})


class _Tables:
    """What is to be done with tables of pyarrow."""

    @staticmethod
    def split(table: Any, size: int) -> list[Any]:
        return [lib.pa.Table.from_batches([batch]) for batch in table.to_batches(max_chunksize=size)]

    @staticmethod
    def joined(parts: list[Any]) -> Any:
        return lib.pa.concat_tables(parts)

    @staticmethod
    def blank(like: Any, row_count: int) -> Any:
        return lib.pa.Table.from_arrays([lib.pa.nulls(row_count, field.type) for field in like.schema], schema=like.schema)

    @staticmethod
    def with_errors(table: Any, texts: list[str]) -> Any:
        return table.append_column("error", lib.pa.array(texts, lib.pa.string()))

    @staticmethod
    def of_errors(errors: list[Any]) -> Any:
        return lib.pa.table({"error": list(map(str, errors))})
