"""ONNX models are fed what fits them; the rest is refused with the column and the way out."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest

from orchlite.core.errors import BadData, BadModel, InferenceFailed
from orchlite.inference.models import ModelFile, load
from tests.inference.conftest import Run
from tests.onnx_models import BOOL, FLOAT, INT64, STRING, doubling, identity, summing, two_inputs


def _file(path: Path, **more: Any) -> ModelFile:
    return ModelFile(path, "m", str(path), "onnx", **more)


class TestTheFile:
    @pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04"])
    def test_no_model_is_refused_with_its_name(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(BadModel, match="The file of model 'm' cannot be loaded as ONNX: "):
            load(_file(tmp_path / "a"))

    def test_a_truncated_model_is_refused(self, tmp_path: Path) -> None:
        path = doubling(tmp_path / "a")
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(BadModel, match="'m' cannot be loaded as ONNX") as caught:
            load(_file(path))
        assert str(tmp_path) not in str(caught.value)

    def test_what_onnxruntime_says_is_told_without_its_source_and_the_stores_path(self, tmp_path: Path) -> None:
        model = onnx.load(str(doubling(tmp_path / "a")))
        model.ir_version = 99
        (tmp_path / "newer").write_bytes(model.SerializeToString())
        with pytest.raises(BadModel, match=r"as ONNX: Unsupported model IR version: 99, max supported IR version: \d+\. Upload"):
            load(_file(tmp_path / "newer"))
        model = onnx.load(str(tmp_path / "a"))
        model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
        model.graph.initializer[0].external_data.add(key="location", value="weights.bin")
        model.graph.initializer[0].ClearField("float_data")
        (tmp_path / "external").write_bytes(model.SerializeToString())
        with pytest.raises(BadModel, match=r"weights\.bin.*Upload the complete model in one file") as caught:
            load(_file(tmp_path / "external"))
        assert str(tmp_path) not in str(caught.value)

    def test_an_absent_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadModel, match="'m' cannot be loaded as ONNX"):
            load(_file(tmp_path / "absent"))

    def test_another_framework_is_refused_with_those_that_run(self, tmp_path: Path) -> None:
        with pytest.raises(BadModel, match=r"of the framework 'keras', which orchlite does not run\. It runs onnx and python"):
            load(ModelFile(tmp_path, "m", "", "keras"))

    def test_a_model_is_loaded_once(self, tmp_path: Path) -> None:
        file = _file(doubling(tmp_path / "a"))
        model = load(file)
        file.path.unlink()
        assert load(file) is model

    def test_the_latest_32_models_are_kept(self, tmp_path: Path) -> None:
        files = [_file(doubling(tmp_path / str(number))) for number in range(33)]
        models = [load(file) for file in files]
        assert load(files[1]) is models[1]
        assert load(files[0]) is not models[0]

    def test_tensor_fields_of_another_number_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadModel, match=r"of model 'm' has the length 1, not 2\. It names the inputs, in this order: 'a', 'b'"):
            load(_file(two_inputs(tmp_path / "a"), fields=("tensor",)))


class TestColumns:
    def test_tensor_fields_rename_inputs_by_position(self, run: Run, tmp_path: Path) -> None:
        data = pd.DataFrame({"left": [[5.0, 5.0]], "right": [[1.0, 2.0]]})
        frame = run(data, "m", models={"m": two_inputs(tmp_path / "a")}, fields=("left", "right")).to_frame()
        assert frame.loc[0, "out.difference"] == [4.0, 3.0]

    def test_a_missing_column_is_named_with_those_there_and_the_way_out(self, run: Run, tmp_path: Path) -> None:
        with pytest.raises(BadData, match=r"needs the column 'x'; the data has 'tensor'\. .*tensor_fields") as caught:
            run(pd.DataFrame({"tensor": [[1.0, 2.0, 3.0]]}), "m", models={"m": doubling(tmp_path / "a")})
        assert caught.value.details["column"] == "x"

    def test_a_wrong_shape_is_named_with_the_right_one(self, run: Run, tmp_path: Path) -> None:
        with pytest.raises(BadData, match="Column 'x' has 2 numbers a row, and model 'm' needs 3 numbers"):
            run(pd.DataFrame({"x": [[1.0, 2.0]]}), "m", models={"m": doubling(tmp_path / "a")})
        with pytest.raises(BadData, match="Column 'x' has one number a row, and model 'm' needs 3 numbers"):
            run(pd.DataFrame({"x": [1.0, 2.0]}), "m", models={"m": doubling(tmp_path / "a")})
        with pytest.raises(BadData, match="Column 'x' has one number a row"):
            run(pd.DataFrame({"x": [[1.0], [2.0]]}), "m", models={"m": doubling(tmp_path / "a")})

    def test_rows_of_different_lengths_are_refused(self, run: Run, tmp_path: Path) -> None:
        with pytest.raises(BadData, match="column 'x' differ in shape: row 1 is not like row 0"):
            run(pd.DataFrame({"x": [[1.0, 2.0, 3.0], [1.0]]}), "m", models={"m": doubling(tmp_path / "a")})
        with pytest.raises(BadData, match="column 'x' differ in shape: row 1 is not like row 0"):
            run(pa.table({"x": [[1.0, 2.0, 3.0], [1.0]]}), "m", models={"m": doubling(tmp_path / "a")})

    @pytest.mark.parametrize("cell", [["a", "b", "c"], "abc", [{"a": 1}] * 3])
    def test_what_is_no_number_is_refused(self, run: Run, tmp_path: Path, cell: Any) -> None:
        with pytest.raises(BadData, match=r"Column 'x' has .*, and model 'm' needs numbers"):
            run(pd.DataFrame({"x": [cell]}), "m", models={"m": doubling(tmp_path / "a")})

    @pytest.mark.parametrize("odd", ["n/a", {"a": 1}])
    def test_a_value_among_numbers_that_is_none_is_found(self, run: Run, tmp_path: Path, odd: Any) -> None:
        kind = type(odd).__name__
        with pytest.raises(BadData, match=f"Column 'x' has {kind} in row 1, and model 'm' needs numbers"):
            run(pd.DataFrame({"x": [[1.0, 2.0, 3.0], [1.0, odd, 3.0]]}), "m", models={"m": doubling(tmp_path / "a")})

    @pytest.mark.parametrize(
        "data",
        [
            pd.DataFrame({"x": [[1.0, 2.0, 3.0], [1.0, float("nan"), 3.0]]}),
            pd.DataFrame({"x": [[1.0, 2.0, 3.0], [1.0, None, 3.0]]}),
            pd.DataFrame({"x": [[1.0, 2.0, 3.0], None]}),
            pa.table({"x": [[1.0, 2.0, 3.0], [1.0, None, 3.0]]}),
            pa.table({"x": [[1.0, 2.0, 3.0], None]}),
        ],
        ids=["NaN", "None", "no list", "null in Arrow", "no list in Arrow"],
    )
    def test_a_row_without_a_number_is_named(self, run: Run, tmp_path: Path, data: Any) -> None:
        with pytest.raises(BadData, match="Column 'x' has no number in row 1"):
            run(data, "m", models={"m": doubling(tmp_path / "a")})

    def test_nan_in_arrow_is_a_number(self, run: Run, tmp_path: Path) -> None:
        result = run(pa.table({"x": [[1.0, float("nan"), 3.0]]}), "m", models={"m": doubling(tmp_path / "a")})
        assert np.isnan(result.to_table().column("out.y").to_pylist()[0][1])

    def test_numbers_are_cast_to_the_models_type(self, run: Run, tmp_path: Path) -> None:
        models = {"m": identity(tmp_path / "a", INT64, [None, 2])}
        assert run(pd.DataFrame({"x": [[1.0, 2.0]]}), "m", models=models).to_frame().loc[0, "out.y"] == [1, 2]
        with pytest.raises(BadData, match="Column 'x' has numbers that int64 cannot hold"):
            run(pd.DataFrame({"x": [[1.5, 2.0]]}), "m", models=models)

    def test_texts_and_flags_are_tensors(self, run: Run, tmp_path: Path) -> None:
        texts = run(pd.DataFrame({"x": [["a", "b"]]}), "m", models={"m": identity(tmp_path / "a", STRING, [None, 2])})
        assert texts.to_frame().loc[0, "out.y"] == ["a", "b"]
        flags = run(pd.DataFrame({"x": [[True, False]]}), "m", models={"m": identity(tmp_path / "b", BOOL, [None, 2])})
        assert flags.to_frame().loc[0, "out.y"] == [True, False]
        with pytest.raises(BadData, match="needs text"):
            run(pd.DataFrame({"x": [[1, 2]]}), "m", models={"m": identity(tmp_path / "a", STRING, [None, 2])})

    def test_a_flat_list_stands_for_its_shape(self, run: Run, tmp_path: Path) -> None:
        models = {"m": identity(tmp_path / "a", FLOAT, [None, 2, 2])}
        assert run(pd.DataFrame({"x": [[1.0, 2.0, 3.0, 4.0]]}), "m", models=models).outputs["out.y"].tolist() == [[1.0, 2.0, 3.0, 4.0]]

    def test_one_number_a_row_is_a_list_of_one(self, run: Run, tmp_path: Path) -> None:
        frame = run(pd.DataFrame({"x": [1.0, 2.0]}), "m", models={"m": summing(tmp_path / "a", width=1)}).to_frame()
        assert frame["out.sum"].tolist() == [[1.0], [2.0]]
        assert frame["in.x"].tolist() == [1.0, 2.0]

    def test_a_model_of_one_row_gets_several_one_by_one(self, run: Run, tmp_path: Path) -> None:
        models = {"m": identity(tmp_path / "a", FLOAT, [1, 2])}
        frame = run(pd.DataFrame({"x": [[1.0, 2.0], [3.0, 4.0]]}), "m", models=models).to_frame()
        assert frame["out.y"].tolist() == [[1.0, 2.0], [3.0, 4.0]]

    def test_a_model_of_three_rows_refuses_two(self, run: Run, tmp_path: Path) -> None:
        with pytest.raises(InferenceFailed, match=r"Model 'm' failed: .*Check the data against the shapes"):
            run(pd.DataFrame({"x": [[1.0], [3.0]]}), "m", models={"m": identity(tmp_path / "a", FLOAT, [3, 1])})


def test_a_forked_process_goes_on_with_the_models_of_its_parent(run: Run, tmp_path: Path) -> None:
    models, frame = {"m": summing(tmp_path / "a")}, pd.DataFrame({"x": [[1.0, 2.0, 3.0]]})
    run(frame, "m", models=models)
    process_id = os.fork()
    if not process_id:
        found = run(frame, "m", models=models).to_frame().loc[0, "out.sum"] == [6.0]
        other = run(frame, "n", models={"n": summing(tmp_path / "b")}).to_frame().loc[0, "out.sum"] == [6.0]
        os._exit(0 if found and other else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]) == 0
    assert multiprocessing.active_children() == []
