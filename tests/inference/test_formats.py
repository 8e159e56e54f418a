"""DataFrames, Arrow tables and JSON, in and out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from orchlite.core.errors import BadArgument, BadData
from orchlite.inference import arrow, data_files, frames
from orchlite.inference.numbers import as_sent, as_written
from orchlite.inference.selection import Selection
from tests.inference.conftest import Run
from tests.onnx_models import FLOAT, doubling, identity, summing


class TestDataFrames:
    def test_floats_are_echoed_with_ten_decimals_and_whole_numbers_as_floats(self, run: Run, tmp_path: Path) -> None:
        frame = run(pd.DataFrame({"x": [[1, 0.123456789012345, 3]]}), "m", models={"m": doubling(tmp_path / "a")}).to_frame()
        assert frame.loc[0, "in.x"] == [1.0, 0.1234567890, 3.0]
        assert [type(number) for number in frame.loc[0, "in.x"]] == [float] * 3

    def test_a_column_of_whole_numbers_is_echoed_in_the_models_type(self, run: Run, tmp_path: Path) -> None:
        frame = run(pd.DataFrame({"x": [[1, 2, 3]]}), "m", models={"m": doubling(tmp_path / "a")}).to_frame()
        assert [type(number) for number in frame.loc[0, "in.x"]] == [float] * 3

    def test_outputs_have_the_shortest_text_of_their_float32(self, run: Run, tmp_path: Path) -> None:
        frame = run(pd.DataFrame({"x": [[0.1, 359006.85, 3e-08]]}), "m", models={"m": doubling(tmp_path / "a")}).to_frame()
        assert str(frame.loc[0, "out.y"]) == "[0.2, 718013.7, 6e-08]"

    def test_time_is_naive_utc_in_milliseconds_one_value_a_call(self, run: Run, tmp_path: Path) -> None:
        frame = run(pd.DataFrame({"x": [[1.0, 2.0, 3.0]] * 2}), "m", models={"m": doubling(tmp_path / "a")}).to_frame()
        assert str(frame["time"].dtype) == "datetime64[ns]"
        assert frame["time"].nunique() == 1
        moment = frame.loc[0, "time"].to_pydatetime()
        assert moment.microsecond % 1000 == 0
        assert abs(datetime.now(UTC).replace(tzinfo=None) - moment) < timedelta(minutes=1)

    def test_the_rows_have_a_fresh_index(self, run: Run, tmp_path: Path) -> None:
        data = pd.DataFrame({"x": [[1.0, 2.0, 3.0]] * 2}, index=[10, 20])
        assert list(run(data, "m", models={"m": doubling(tmp_path / "a")}).to_frame().index) == [0, 1]

    def test_columns_of_the_frame_may_have_any_usual_type(self) -> None:
        frame = pd.DataFrame(
            {
                "whole": [1, 2],
                "float": [0.5, 1.5],
                "flag": [True, False],
                "text": ["a", "b"],
                "category": pd.Categorical(["u", "v"]),
                "when": pd.to_datetime(["2026-01-01", "2026-01-02"]),
                "nullable": pd.array([1, 2], dtype="Int64"),
                "array": [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
                "nested": [[[1.0], [2.0]], [[3.0], [4.0]]],
            }
        )
        columns = frames.from_frame(frame).columns
        assert {name: column.dtype.kind for name, column in columns.items()} == {
            "whole": "i",
            "float": "f",
            "flag": "b",
            "text": "O",
            "category": "O",
            "when": "i",
            "nullable": "i",
            "array": "f",
            "nested": "f",
        }
        assert columns["when"].tolist() == [1767225600000, 1767312000000]
        assert columns["nested"].shape == (2, 2, 1)

    @pytest.mark.parametrize(("frame", "message"), [(pd.DataFrame(), "no columns"), (pd.DataFrame({"x": []}), "no rows")])
    def test_an_empty_frame_is_refused(self, frame: pd.DataFrame, message: str) -> None:
        with pytest.raises(BadData, match=message):
            frames.from_frame(frame)

    def test_two_columns_of_one_name_are_refused(self) -> None:
        with pytest.raises(BadData, match="several columns 'x'"):
            frames.from_frame(pd.DataFrame([[1, 2]], columns=["x", "x"]))


class TestArrow:
    def test_the_table_has_the_platforms_types(self, run: Run, tmp_path: Path) -> None:
        data = pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4, 5, 6], pa.float32()), 3)})
        table = run(data, "m", models={"m": summing(tmp_path / "a")}).to_table()
        assert table.schema.field("time") == pa.field("time", pa.timestamp("ms"))
        assert table.schema.field("in.x").type == data.schema.field("x").type
        floats = pa.list_(pa.field("inner", pa.float32(), nullable=False))
        assert table.schema.field("out.sum") == pa.field("out.sum", floats, nullable=False)
        assert table.schema.field("anomaly.count") == pa.field("anomaly.count", pa.uint32(), nullable=False)
        assert table.column("out.sum").to_pylist() == [[6.0], [15.0]]

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([[1, 2, 3], [4, 5, 6]]),
            pa.array([[1, 2, 3], [4, 5, 6]], pa.list_(pa.float64(), 3)),
            pa.array([[1, 2, 3], [4, 5, 6]], pa.large_list(pa.float16())),
            pa.chunked_array([pa.array([[1, 2, 3]]), pa.array([[4, 5, 6]])]),
            pa.array([[0, 0, 0], [1, 2, 3], [4, 5, 6]]).slice(1),
            pa.array([[0, 0, 0], [1, 2, 3], [4, 5, 6]], pa.list_(pa.float32(), 3)).slice(1),
            pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.float32(), [3]), pa.array([[1, 2, 3], [4, 5, 6]], pa.list_(pa.float32(), 3))
            ),
        ],
        ids=["list", "fixed size", "large list", "chunks", "slice", "slice of fixed size", "tensor"],
    )
    def test_lists_of_every_kind_are_tensors(self, run: Run, tmp_path: Path, column: pa.Array) -> None:
        result = run(pa.table({"x": column}), "m", models={"m": summing(tmp_path / "a")})
        assert result.to_table().column("out.sum").to_pylist() == [[6.0], [15.0]]

    def test_a_shape_in_the_metadata_is_that_of_a_row(self) -> None:
        field = pa.field("x", pa.list_(pa.float32(), 6), metadata={"tensor_type": json.dumps({"shape": [2, 3]})})
        data = pa.table([pa.array([[1, 2, 3, 4, 5, 6]], pa.list_(pa.float32(), 6))], schema=pa.schema([field]))
        assert arrow.from_table(data).columns["x"].tolist() == [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]

    def test_columns_of_numbers_and_texts_stay_so(self) -> None:
        columns = arrow.from_table(pa.table({"n": [1, 2], "t": ["a", "b"], "d": pa.array(["u", "u"]).dictionary_encode()})).columns
        assert columns["n"].tolist() == [1, 2]
        assert columns["t"].tolist() == ["a", "b"]
        assert columns["d"].tolist() == ["u", "u"]

    @pytest.mark.parametrize(("table", "message"), [(pa.table({}), "no columns"), (pa.table({"x": pa.array([], pa.float32())}), "no rows")])
    def test_an_empty_table_is_refused(self, table: pa.Table, message: str) -> None:
        with pytest.raises(BadData, match=message):
            arrow.from_table(table)

    def test_a_type_that_is_no_tensor_is_refused(self) -> None:
        with pytest.raises(BadData, match=r"Column 'x' has the Arrow type struct<a: int64>, which is no tensor"):
            arrow.from_table(pa.table({"x": [{"a": 1}]}))


class TestJson:
    @pytest.mark.parametrize(
        "data",
        [
            {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]},
            [{"x": [1.0, 2.0, 3.0]}, {"x": [4.0, 5.0, 6.0]}],
            {"x": {0: [1.0, 2.0, 3.0], 1: [4.0, 5.0, 6.0]}},
        ],
        ids=["columns", "records", "columns by row"],
    )
    def test_the_response_is_a_list_of_the_outputs_a_row(self, run: Run, tmp_path: Path, data: object) -> None:
        assert run(data, "m", models={"m": summing(tmp_path / "a")}).to_outputs() == [{"sum": [6.0]}, {"sum": [15.0]}]

    def test_one_value_stands_for_a_row(self) -> None:
        assert frames.from_json({"a": 1, "b": "text"}).row_count == 1

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ([], "The data has no rows"),
            ([1, 2], "not of one or more dictionaries"),
            ([{"a": 1}, {"b": 1}], "Record 1 and record 0 differ in their keys: a, b"),
            ({}, "no columns"),
            ({"a": []}, "no rows"),
            ({"a": [1], "b": [1, 2]}, "differ in length: 'a': 1, 'b': 2"),
        ],
    )
    def test_what_are_no_columns_is_refused(self, data: object, message: str) -> None:
        with pytest.raises(BadData, match=message):
            frames.from_json(data)  # type: ignore[arg-type]

    def test_records_are_what_rest_sends(self, run: Run, tmp_path: Path) -> None:
        result = run(pd.DataFrame({"x": [[1.0, 2.0, 3.0]]}), "m", models={"m": summing(tmp_path / "a")})
        assert result.to_records() == [{"time": result.at_ms, "in.x": [1.0, 2.0, 3.0], "out.sum": [6.0], "anomaly.count": 0}]
        json.dumps(result.to_records(Selection(["*", "metadata"])))


class TestFiles:
    def test_the_suffix_says_the_format(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text('[{"x": [1.0]}, {"x": [2.0]}]')
        assert data_files.read(tmp_path / "a.json")["x"].tolist() == [[1.0], [2.0]]
        with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, pa.schema([("x", pa.int64())])) as writer:
            writer.write_table(pa.table({"x": [1, 2]}))
        assert data_files.read(tmp_path / "a.arrow").column("x").to_pylist() == [1, 2]

    def test_custom_json_is_returned_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text('{"x": [[1.0]]}')
        assert data_files.read(tmp_path / "a.json", "custom-json") == {"x": [[1.0]]}

    @pytest.mark.parametrize("text", ["[]", "{}", '[{"a": 1}, {"b": 1}]', "[1]"])
    def test_other_json_is_no_records(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(BadData, match="has no records of pandas"):
            data_files.read(tmp_path / "a.json")

    @pytest.mark.parametrize(("name", "data_format"), [("a.json", None), ("a.arrow", None), ("a", "arrow")])
    def test_a_broken_file_is_named(self, tmp_path: Path, name: str, data_format: str | None) -> None:
        (tmp_path / name).write_text("{")
        with pytest.raises(BadData, match=f"{name}' is not in the format"):
            data_files.read(tmp_path / name, data_format)

    def test_an_unknown_format_or_suffix_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadArgument, match="data_format is 'csv'"):
            data_files.read(tmp_path / "a.json", "csv")
        with pytest.raises(BadArgument, match=r"suffix '\.csv'"):
            data_files.read(tmp_path / "a.csv")
        with pytest.raises(BadArgument, match="No such file"):
            data_files.read(tmp_path / "absent.json")


class TestSelection:
    _NAMES = ("time", "out.b", "out.a", "in.x", "anomaly.count", "anomaly.z", "out_m.b", "metadata.elapsed")

    @pytest.mark.parametrize(
        ("selection", "columns"),
        [
            (Selection(), ["time", "in.x", "out.a", "out.b", "out_m.b", "anomaly.count", "anomaly.z"]),
            (Selection(["out.a"]), ["out.a"]),
            (Selection(["time", "out"]), ["time", "out.a", "out.b"]),
            (Selection(["*", "metadata"], ["in", "anomaly"]), ["time", "out.a", "out.b", "out_m.b", "metadata.elapsed"]),
            (Selection(["*", "out.a"], ["out"]), ["time", "in.x", "out.a", "out_m.b", "anomaly.count", "anomaly.z"]),
            (Selection(["*"], ["out.a", "anomaly"]), ["time", "in.x", "out.b", "out_m.b"]),
            (Selection(["metadata.elapsed"]), ["metadata.elapsed"]),
        ],
    )
    def test_groups_and_single_columns_are_selected_and_excluded(self, selection: Selection, columns: list[str]) -> None:
        assert list(selection.columns(self._NAMES)) == columns

    def test_the_separator_stands_between_group_and_name(self) -> None:
        assert Selection(["out"], separator="_").columns(["out.a.b"]) == {"out.a.b": "out_a.b"}


class TestNumbers:
    def test_float32_is_written_with_the_fewest_digits(self) -> None:
        rng = np.random.default_rng(1)
        bits = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
        numbers = np.concatenate([bits[np.isfinite(bits)], np.float32([0, -0.0, 1, 0.1, 718013.7, 1e10, 16777216, 1e-45, 3.4e38])])
        written = as_written(numbers)
        assert [float(str(number)) for number in numbers] == written.tolist()

    def test_numbers_that_are_none_stay_so(self) -> None:
        written = as_written(np.array([np.nan, np.inf, -np.inf] * 20, dtype=np.float32))
        assert np.isnan(written[0])
        assert written[1] == np.inf
        assert written[2] == -np.inf

    def test_the_decimals_sent_are_those_of_pandas(self) -> None:
        numbers = np.array([1 / 3, 2.5, 1e-12, 123456.78901234567, -0.5])
        assert as_sent(numbers).tolist() == json.loads(pd.Series(numbers).to_json(orient="values"))

    def test_large_numbers_are_sent_whole(self) -> None:
        assert as_sent(np.array([1e300, 0.12345678901234])).tolist() == [1e300, 0.1234567890]


def test_several_dimensions_of_an_onnx_output_are_one_list_a_row(run: Run, tmp_path: Path) -> None:
    result = run(pd.DataFrame({"x": [[[1.0, 2.0], [3.0, 4.0]]]}), "m", models={"m": identity(tmp_path / "a", FLOAT, [None, 2, 2])})
    assert result.to_frame().loc[0, "out.y"] == [1.0, 2.0, 3.0, 4.0]
    assert result.to_frame().loc[0, "in.x"] == [[1.0, 2.0], [3.0, 4.0]]


def test_a_frame_shares_nothing_with_others(run: Run, tmp_path: Path) -> None:
    data = pd.DataFrame({"x": [[1.0, 2.0, 3.0]], "index": [7]})
    first, second = (run(data, "m", models={"m": doubling(tmp_path / "a")}).to_frame() for _ in range(2))
    first.columns.name = "changed"
    first.loc[0, "in.index"] = 8
    first.loc[0, "in.x"].append(4.0)
    assert second.columns.name is None
    assert data.loc[0, "index"] == 7
    assert data.loc[0, "x"] == [1.0, 2.0, 3.0]
