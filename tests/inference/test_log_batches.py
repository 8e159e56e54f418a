"""What is logged of an inference, and how it is read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from orchlite.core.errors import InferenceFailed
from orchlite.inference import log_batches
from orchlite.inference.results import InferenceResult
from orchlite.inference.selection import Selection
from tests.inference.conftest import Run, serialized
from tests.onnx_models import summing


def _result(run: Run, folder: Path, data: object) -> InferenceResult:
    check = {"Check": {"tree": [serialized("large", pl.col("out.sum").list.get(0) > 10)]}}
    return run(data, "m", check, models={"m": summing(folder / "a")})


_FRAME = pd.DataFrame({"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "label": ["a", "b"]})


def test_the_columns_are_those_of_the_result(run: Run, tmp_path: Path) -> None:
    result = _result(run, tmp_path, _FRAME)
    table = log_batches.joined([log_batches.encode(result).data], is_reversed=False, selection=Selection(["*", "metadata"]))
    assert table.column_names == list(result.to_frame(Selection(["*", "metadata"])).columns)
    assert table.schema.field("anomaly.count") == pa.field("anomaly.count", pa.uint32(), nullable=False)
    assert table.column("anomaly.count").to_pylist() == [0, 1]
    assert table.column("in.label").to_pylist() == ["a", "b"]
    assert table.column("time").cast(pa.int64()).to_pylist() == [result.at_ms] * 2


def test_the_cells_of_the_frame_are_arrays_of_float32(run: Run, tmp_path: Path) -> None:
    frame = log_batches.to_frame(log_batches.joined([log_batches.encode(_result(run, tmp_path, _FRAME)).data], is_reversed=False))
    assert frame.loc[1, "out.sum"].tolist() == [15.0]
    assert frame.loc[1, "out.sum"].dtype == np.float32
    assert frame.loc[1, "in.x"].dtype == np.float32
    assert "metadata.elapsed" not in frame.columns


def test_newest_first_is_also_the_order_inside_a_batch(run: Run, tmp_path: Path) -> None:
    old, new = (log_batches.encode(_result(run, tmp_path, pd.DataFrame({"x": [[n, 0, 0], [n + 1, 0, 0]]}))).data for n in (1, 3))
    assert log_batches.joined([new, old], is_reversed=True, limit=3).column("out.sum").to_pylist() == [[4.0], [3.0], [2.0]]
    assert log_batches.joined([old, new], is_reversed=False).column("out.sum").to_pylist() == [[1.0], [2.0], [3.0], [4.0]]


def test_frames_and_tables_are_logged_alike(run: Run, tmp_path: Path) -> None:
    of_frame = log_batches.encode(_result(run, tmp_path, pd.DataFrame({"x": [[1.0, 2.0, 3.0]]})))
    of_table = log_batches.encode(_result(run, tmp_path, pa.table({"x": pa.array([[4.0, 5.0, 6.0]], pa.list_(pa.float32(), 3))})))
    assert of_frame.schema_key == of_table.schema_key
    for batches in ([of_frame, of_table], [of_table, of_frame]):
        assert log_batches.joined([each.data for each in batches], is_reversed=True).num_rows == 2


def test_of_a_large_result_the_last_records_are_kept(run: Run, tmp_path: Path) -> None:
    result = _result(run, tmp_path, pd.DataFrame({"x": [[float(row), 0.0, 0.0] for row in range(1000)]}))
    whole = log_batches.encode(result)
    assert log_batches.encode(result, size_limit_bytes=len(whole.data)) == whole
    part = log_batches.encode(result, size_limit_bytes=len(whole.data) // 2)
    assert len(whole.data) // 3 < len(part.data) <= len(whole.data) // 2
    rows = log_batches.joined([part.data], is_reversed=False)
    assert rows.column("out.sum").to_pylist() == [[float(row)] for row in range(1000 - part.row_count, 1000)]
    assert rows.column("anomaly.count").to_pylist() == [1] * part.row_count
    assert log_batches.encode(result, size_limit_bytes=1).row_count == 1


def test_as_many_of_the_last_records_are_kept_as_fit(run: Run, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [[1.0, 2.0, 3.0]] * 100, "label": ["long" * 10_000] * 5 + ["short"] * 95})
    part = log_batches.encode(_result(run, tmp_path, frame), size_limit_bytes=40_000)
    assert part.row_count == 95


def test_a_record_that_cannot_be_stored_is_refused(run: Run, tmp_path: Path) -> None:
    result = _result(run, tmp_path, _FRAME)
    with pytest.raises(InferenceFailed, match=r"A record of the result has 1.1 KiB; the limit is 100 B\. Let the models return less"):
        log_batches.encode(result, size_limit_bytes=100, record_limit_bytes=100)


def test_other_columns_have_another_key(run: Run, tmp_path: Path) -> None:
    assert (
        log_batches.encode(_result(run, tmp_path, _FRAME)).schema_key
        != log_batches.encode(_result(run, tmp_path, _FRAME[["x"]])).schema_key
    )


def test_no_records_are_a_frame_without_columns() -> None:
    assert log_batches.to_frame(log_batches.joined([], is_reversed=True)).columns.empty


def test_the_types_of_what_was_sent_do_not_matter(run: Run, tmp_path: Path) -> None:
    kinds = [pa.list_(pa.float32(), 3), pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.int64())]
    tables = [pa.table({"x": pa.array([[1, 2, 3]], kind)}) for kind in kinds]
    batches = [log_batches.encode(_result(run, tmp_path, data)) for data in (*tables, pd.DataFrame({"x": [[1, 2, 3]]}))]
    assert len({batch.schema_key for batch in batches}) == 1
    table = log_batches.joined([batch.data for batch in batches], is_reversed=True)
    assert table.schema.field("in.x").type == pa.list_(pa.float32())
    assert table.column("in.x").to_pylist() == [[1.0, 2.0, 3.0]] * 5
