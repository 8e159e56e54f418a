"""Inference logs: the records of each inference as one row, kept up to a number of records and bytes a pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from orchlite.core.errors import NotFound
from orchlite.core.model_records import InferenceLogPage, InferenceLogRow, StoppedBy
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_microseconds

_PAGE = 500
_EARLIEST, _LATEST = -(2**63), 2**63 - 1
_NEWEST_FIRST = (
    "SELECT log_id, row_count, size_bytes, schema_key FROM inference_logs WHERE pipeline_id = ? AND at BETWEEN ? AND ?"
    " AND (at, log_id) <= (?, ?) ORDER BY at DESC, log_id DESC LIMIT ?"
)
_OLDEST_FIRST = (
    "SELECT log_id, row_count, size_bytes, schema_key FROM inference_logs WHERE pipeline_id = ? AND at BETWEEN ? AND ?"
    " AND (at, log_id) >= (?, ?) ORDER BY at, log_id LIMIT ?"
)


class InferenceLogs:
    """The inference logs of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Run the block in a transaction that survives a killed process, but perhaps not a machine that goes down."""
        return self._database.transaction(urgent=True, durable=False)

    def insert(self, transaction: Transaction, log: InferenceLogRow, *, row_limit: int, size_limit_bytes: int) -> int:
        """Insert a log and return its id. Delete the pipeline's oldest logs if it now has more rows or bytes than the limits.

        The new log stays, even if it exceeds the limits alone.

        Raises:
            NotFound: there is no such pipeline.
        """
        # Two statements: each costs an inference of one row some percent of its time.
        sums = _add_to_sums(transaction, log.pipeline_id, log.row_count, log.size_bytes)
        if sums is None:
            raise NotFound(f"There is no pipeline {log.pipeline_id!r} in this store: it was deleted.", pipeline_id=log.pipeline_id)
        row = transaction.row(
            "INSERT INTO inference_logs (pipeline_id, at, row_count, size_bytes, schema_key, data) VALUES (?, ?, ?, ?, ?, ?)"
            " RETURNING log_id",
            (log.pipeline_id, to_microseconds(log.at), log.row_count, log.size_bytes, log.schema_key, log.data),
        )
        assert row is not None
        log_id = int(row["log_id"])
        if sums["log_rows"] > row_limit or sums["log_bytes"] > size_limit_bytes:
            while self.trim(transaction, log.pipeline_id, row_limit=row_limit, size_limit_bytes=size_limit_bytes, kept=log_id):
                pass
        return log_id

    def read(
        self,
        pipeline_id: int,
        row_limit: int,
        *,
        size_limit_bytes: int,
        since: datetime | None = None,
        until: datetime | None = None,
        oldest_first: bool = False,
        position: tuple[datetime, int] | None = None,
    ) -> InferenceLogPage:
        """Return a pipeline's logs from `since` to `until`, inclusive: newest first, or with `oldest_first` the other way round.

        Stop at `row_limit` records, before `size_limit_bytes` is exceeded (but not before the first log), and at a change of columns.

        position: time and id of the log to begin with, or to continue behind if it was deleted.
        """
        at, log_id = (None, _EARLIEST if oldest_first else _LATEST) if position is None else position
        rows = self._database.rows(
            _OLDEST_FIRST if oldest_first else _NEWEST_FIRST,
            (
                pipeline_id,
                _EARLIEST if since is None else to_microseconds(since),
                _LATEST if until is None else to_microseconds(until),
                log_id if at is None else to_microseconds(at),
                log_id,
                row_limit + 1,  # no log has less than one row, and one more shows whether there are others
            ),
        )
        log_ids, stopped_by = _selection(rows, row_limit, size_limit_bytes)
        return InferenceLogPage(self._with_data(log_ids), stopped_by)

    def trim(self, transaction: Transaction, pipeline_id: int, *, row_limit: int, size_limit_bytes: int, kept: int | None = None) -> int:
        """Delete the oldest logs of a pipeline that has more rows or bytes than the limits, 500 at most.

        Return how many were deleted: 0 if there is nothing more to delete. kept: the log that stays in any case; by default the newest.
        """
        sums = transaction.row("SELECT log_rows, log_bytes FROM pipelines WHERE pipeline_id = ?", (pipeline_id,))
        if sums is None or (sums["log_rows"] <= row_limit and sums["log_bytes"] <= size_limit_bytes):
            return 0
        oldest = transaction.each(  # not `rows`: of a full log, each inference deletes only one or two
            "SELECT log_id, row_count, size_bytes FROM inference_logs WHERE pipeline_id = ? AND log_id <> coalesce(?,"
            " (SELECT log_id FROM inference_logs WHERE pipeline_id = ? ORDER BY at DESC, log_id DESC LIMIT 1)) ORDER BY at, log_id LIMIT ?",
            (pipeline_id, kept, pipeline_id, _PAGE),
        )
        chosen = _freeing(oldest, sums["log_rows"] - row_limit, sums["log_bytes"] - size_limit_bytes)
        return self._delete(transaction, pipeline_id, chosen)

    def delete_before(self, transaction: Transaction, pipeline_id: int, before: datetime) -> int:
        """Delete the pipeline's logs that are older than `before`, the oldest 500 at most. Return how many were deleted."""
        rows = transaction.rows(
            "SELECT log_id, row_count, size_bytes FROM inference_logs WHERE pipeline_id = ? AND at < ? ORDER BY at, log_id LIMIT ?",
            (pipeline_id, to_microseconds(before), _PAGE),
        )
        return self._delete(transaction, pipeline_id, rows)

    def count_prunable(self, pipeline_id: int, before: datetime | None, *, row_limit: int, size_limit_bytes: int) -> int:
        """Return how many logs `delete_before` (None: none) and then `trim` would delete if they were called until they return 0."""
        [row] = self._database.rows(
            "SELECT count(*) FROM (SELECT at, row_number() OVER newer AS place, sum(row_count) OVER newer AS row_count,"
            " sum(size_bytes) OVER newer AS size_bytes"
            " FROM inference_logs WHERE pipeline_id = ? WINDOW newer AS (ORDER BY at DESC, log_id DESC ROWS UNBOUNDED PRECEDING))"
            " WHERE at < ? OR place > 1 AND (row_count > ? OR size_bytes > ?)",
            (pipeline_id, _EARLIEST if before is None else to_microseconds(before), row_limit, size_limit_bytes),
        )
        return int(row[0])

    def wrong_sums(self) -> list[int]:
        """Return the ids of the pipelines whose sums of rows and bytes are not those of their logs."""
        rows = self._database.rows(
            "SELECT pipeline_id FROM pipelines LEFT JOIN (SELECT pipeline_id, sum(row_count) AS row_count, sum(size_bytes) AS size_bytes"
            " FROM inference_logs GROUP BY pipeline_id) USING (pipeline_id)"
            " WHERE log_rows <> coalesce(row_count, 0) OR log_bytes <> coalesce(size_bytes, 0) ORDER BY pipeline_id"
        )
        return [row["pipeline_id"] for row in rows]

    def _delete(self, transaction: Transaction, pipeline_id: int, rows: Sequence[Row]) -> int:
        log_ids = json.dumps([row["log_id"] for row in rows])
        deleted = transaction.execute("DELETE FROM inference_logs WHERE log_id IN (SELECT value FROM json_each(?))", (log_ids,))
        row_count, size_bytes = sum(row["row_count"] for row in rows), sum(row["size_bytes"] for row in rows)
        _add_to_sums(transaction, pipeline_id, -row_count, -size_bytes)
        return deleted

    def _with_data(self, log_ids: Sequence[int]) -> list[InferenceLogRow]:
        """Return the logs with these ids, in this order, without those that were deleted meanwhile."""
        rows = self._database.rows("SELECT * FROM inference_logs WHERE log_id IN (SELECT value FROM json_each(?))", (json.dumps(log_ids),))
        found = {row["log_id"]: _record(row) for row in rows}
        return [found[log_id] for log_id in log_ids if log_id in found]


def _add_to_sums(transaction: Transaction, pipeline_id: int, row_count: int, size_bytes: int) -> Row | None:
    """Return the new sums; None if there is no such pipeline."""
    return transaction.row(
        "UPDATE pipelines SET log_rows = log_rows + ?, log_bytes = log_bytes + ? WHERE pipeline_id = ? RETURNING log_rows, log_bytes",
        (row_count, size_bytes, pipeline_id),
    )


def _selection(rows: Iterable[Row], row_limit: int, size_limit_bytes: int) -> tuple[list[int], StoppedBy | None]:
    """Return the ids of the logs that keep to the limits, and what left out the others."""
    log_ids: list[int] = []
    row_count = size_bytes = 0
    schema_key = None
    for row in rows:
        if row_count >= row_limit:
            return log_ids, "rows"
        if log_ids and row["schema_key"] != schema_key:
            return log_ids, "schema"
        if log_ids and size_bytes + row["size_bytes"] > size_limit_bytes:
            return log_ids, "bytes"
        log_ids.append(row["log_id"])
        schema_key = row["schema_key"]
        row_count += row["row_count"]
        size_bytes += row["size_bytes"]
    return log_ids, "rows" if row_count > row_limit else None


def _freeing(oldest: Iterable[Row], row_count: int, size_bytes: int) -> list[Row]:
    """Return as many of the first logs as have this many rows and bytes together."""
    chosen: list[Row] = []
    for row in oldest:
        if row_count <= 0 and size_bytes <= 0:
            break
        chosen.append(row)
        row_count -= row["row_count"]
        size_bytes -= row["size_bytes"]
    return chosen


def _record(row: Row) -> InferenceLogRow:
    return InferenceLogRow(
        log_id=row["log_id"],
        pipeline_id=row["pipeline_id"],
        at=known_datetime(row["at"]),
        row_count=row["row_count"],
        size_bytes=row["size_bytes"],
        schema_key=row["schema_key"],
        data=row["data"],
    )
