"""Inference logs in the store: their order, the limits of reading, and the deletion of the oldest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from orchlite.core.errors import NotFound
from orchlite.core.model_records import InferenceLogRow, PipelineRow
from orchlite.store.database import Database
from orchlite.store.store import Store

_MANY = 10**9


class _Logs:
    """The inference logs of one pipeline, written and read with few words."""

    def __init__(self, store: Store, pipeline: PipelineRow, now: datetime) -> None:
        self._store = store
        self._now = now
        self.pipeline_id = pipeline.pipeline_id

    def at(self, seconds: int) -> datetime:
        return self._now + timedelta(seconds=seconds)

    def add(self, seconds: int, *, rows: int = 1, size_bytes: int = 10, key: str = "a", row_limit: int = _MANY, limit: int = _MANY) -> int:
        row = InferenceLogRow(0, self.pipeline_id, self.at(seconds), rows, size_bytes, key, b"\0" * size_bytes)
        with self._store.inference_logs.transaction() as transaction:
            return self._store.inference_logs.insert(transaction, row, row_limit=row_limit, size_limit_bytes=limit)

    def read(self, row_limit: int = _MANY, size_limit_bytes: int = _MANY, **bounds: Any) -> tuple[list[int], str | None]:
        page = self._store.inference_logs.read(self.pipeline_id, row_limit, size_limit_bytes=size_limit_bytes, **bounds)
        return [log.log_id for log in page.logs], page.stopped_by

    def sums(self, database: Database) -> tuple[int, int]:
        kept = database.row("SELECT log_rows, log_bytes FROM pipelines WHERE pipeline_id = ?", (self.pipeline_id,))
        counted = database.row(
            "SELECT coalesce(sum(row_count), 0), coalesce(sum(length(data)), 0) FROM inference_logs WHERE pipeline_id = ?",
            (self.pipeline_id,),
        )
        assert kept is not None
        assert counted is not None
        assert tuple(kept) == tuple(counted)
        return int(kept[0]), int(kept[1])


@pytest.fixture
def logs(store: Store, add_pipeline: Callable[..., PipelineRow], now: datetime) -> _Logs:
    return _Logs(store, add_pipeline("fraud"), now)


def test_a_log_is_read_as_it_was_written(store: Store, logs: _Logs) -> None:
    logs.add(1, rows=3, size_bytes=4, key="columns")
    page = store.inference_logs.read(logs.pipeline_id, 10, size_limit_bytes=_MANY)
    assert page.logs == [InferenceLogRow(1, logs.pipeline_id, logs.at(1), 3, 4, "columns", b"\0\0\0\0")]
    assert page.stopped_by is None


def test_logs_are_read_newest_first_or_oldest_first(logs: _Logs) -> None:
    first, second, third = logs.add(1), logs.add(2), logs.add(2)
    assert logs.read() == ([third, second, first], None)
    assert logs.read(oldest_first=True) == ([first, second, third], None)


def test_logs_are_ordered_by_their_time_where_the_clock_was_set_back(logs: _Logs) -> None:
    later, earlier = logs.add(9), logs.add(1)
    assert logs.read() == ([later, earlier], None)


def test_both_bounds_of_a_period_belong_to_it(logs: _Logs) -> None:
    _, second, third, _ = (logs.add(seconds) for seconds in range(4))
    assert logs.read(since=logs.at(1), until=logs.at(2), oldest_first=True) == ([second, third], None)


def test_reading_stops_at_the_number_of_records(logs: _Logs) -> None:
    first, second = logs.add(1, rows=3), logs.add(2, rows=2)
    assert logs.read(1) == ([second], "rows")
    assert logs.read(2) == ([second], "rows")
    assert logs.read(3) == ([second, first], "rows")
    assert logs.read(5) == ([second, first], None)


def test_reading_stops_before_the_bytes_are_exceeded_but_not_before_the_first_log(logs: _Logs) -> None:
    first, second = logs.add(1), logs.add(2)
    assert logs.read(size_limit_bytes=5) == ([second], "bytes")
    assert logs.read(size_limit_bytes=19) == ([second], "bytes")
    assert logs.read(size_limit_bytes=20) == ([second, first], None)


def test_reading_stops_at_a_change_of_columns(logs: _Logs) -> None:
    first, second = logs.add(1, key="a"), logs.add(2, key="b")
    assert logs.read() == ([second], "schema")
    assert logs.read(oldest_first=True) == ([first], "schema")


@pytest.mark.parametrize("oldest_first", [False, True])
def test_reading_continues_at_a_position(logs: _Logs, oldest_first: bool) -> None:
    ids = [logs.add(1), logs.add(1), logs.add(2), logs.add(3)]
    ids = ids if oldest_first else ids[::-1]
    seconds = dict(zip(sorted(ids), (1, 1, 2, 3), strict=True))
    for start in range(4):
        position = (logs.at(seconds[ids[start]]), ids[start])
        assert logs.read(oldest_first=oldest_first, position=position) == (ids[start:], None)


def test_logs_of_another_pipeline_are_not_read(logs: _Logs, store: Store, add_pipeline: Callable[..., PipelineRow], now: datetime) -> None:
    logs.add(1)
    assert _Logs(store, add_pipeline("other"), now).read() == ([], None)


@pytest.mark.parametrize("limits", [{"row_limit": 4}, {"limit": 40}])
def test_an_insertion_deletes_the_oldest_beyond_the_limits(logs: _Logs, database: Database, limits: dict[str, Any]) -> None:
    ids = [logs.add(seconds, rows=2, size_bytes=20, **limits) for seconds in range(4)]
    assert logs.read() == (ids[:1:-1], None)
    assert logs.sums(database) == (4, 40)


def test_an_insertion_deletes_as_many_as_it_takes(logs: _Logs, database: Database) -> None:
    for seconds in range(1200):
        logs.add(seconds)
    assert logs.read(2) == ([1200, 1199], "rows")
    assert logs.add(2000, rows=1190, row_limit=1200) == 1201
    assert len(logs.read()[0]) == 11
    assert logs.sums(database) == (1200, 110)


def test_a_log_that_exceeds_the_limits_alone_stays_alone(logs: _Logs, database: Database) -> None:
    logs.add(1)
    large = logs.add(2, rows=99, size_bytes=99, row_limit=5, limit=5)
    assert logs.read() == ([large], None)
    assert logs.sums(database) == (99, 99)


def test_old_logs_are_deleted_a_page_at_a_time(logs: _Logs, store: Store, database: Database) -> None:
    ids = [logs.add(seconds) for seconds in range(502)]
    with store.transaction() as transaction:
        deleted = [store.inference_logs.delete_before(transaction, logs.pipeline_id, logs.at(501)) for _ in range(3)]
    assert deleted == [500, 1, 0]
    assert logs.read() == (ids[501:], None)
    assert logs.sums(database) == (1, 10)


@pytest.mark.parametrize(
    ("before", "rows", "size_bytes", "expected"),
    [
        (None, 10, 100, 0),
        (None, 9, 100, 1),
        (None, 10, 79, 2),
        (2, 10, 100, 2),
        (2, 5, 100, 3),
        (3, 6, 100, 3),
        (None, 0, 0, 4),
        (99, 0, 0, 5),
    ],
)
def test_what_a_prune_would_delete_is_what_it_deletes(
    logs: _Logs, store: Store, database: Database, before: int | None, rows: int, size_bytes: int, expected: int
) -> None:
    for seconds in range(5):
        logs.add(seconds, rows=2, size_bytes=20)
    at = None if before is None else logs.at(before)
    count = store.inference_logs.count_prunable(logs.pipeline_id, at, row_limit=rows, size_limit_bytes=size_bytes)
    with store.transaction() as transaction:
        deleted = 0 if at is None else store.inference_logs.delete_before(transaction, logs.pipeline_id, at)
        while more := store.inference_logs.trim(transaction, logs.pipeline_id, row_limit=rows, size_limit_bytes=size_bytes):
            deleted += more
    assert count == deleted == expected
    assert len(logs.read()[0]) == 5 - expected
    logs.sums(database)
    assert store.inference_logs.wrong_sums() == []


def test_wrong_sums_are_found(logs: _Logs, store: Store, database: Database) -> None:
    logs.add(1)
    with database.transaction() as transaction:
        transaction.execute("UPDATE pipelines SET log_bytes = 0")
    assert store.inference_logs.wrong_sums() == [logs.pipeline_id]


def test_the_log_of_a_deleted_pipeline_is_refused(logs: _Logs, store: Store, database: Database, now: datetime) -> None:
    logs.add(1)
    with store.transaction() as transaction:
        store.pipelines.delete(transaction, logs.pipeline_id, now)
    assert database.row("SELECT 1 FROM inference_logs") is None
    with pytest.raises(NotFound, match="it was deleted"):
        logs.add(2)
