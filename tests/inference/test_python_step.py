"""Python steps: functions of files and of ZIPs, their modules, and what they do wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from orchlite.core.errors import BadData, BadModel, InferenceFailed
from orchlite.inference.models import PYTHON, ModelFile, load
from orchlite.inference.python_step import PythonStep
from tests.inference.conftest import Run, inputs_of
from tests.onnx_models import doubling

_FRAME = pd.DataFrame({"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})
Write = Callable[[str], Path]


def _zip(path: Path, **files: str) -> Path:
    with ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return path


def _load(path: Path) -> None:
    load(ModelFile(path, "m", str(path), PYTHON))


def test_it_takes_and_returns_arrays_by_name(run: Run, python_file: Write) -> None:
    path = python_file(
        'assert input_data["x"].shape == (2, 3)\nreturn {"mean": input_data["x"].mean(axis=1), "first": input_data["x"][:, :1]}'
    )
    frame = run(_FRAME, "m", models={"m": path}).to_frame()
    assert frame["out.mean"].tolist() == [2.0, 5.0]
    assert frame["out.first"].tolist() == [[1.0], [4.0]]


def test_its_arrays_are_copies(run: Run, python_file: Write) -> None:
    path = python_file('input_data["x"] += 1\nreturn {"y": input_data.pop("x")}')
    frame = run(_FRAME, "m", models={"m": path}).to_frame()
    assert frame["in.x"].tolist() == _FRAME["x"].tolist()


def test_it_stands_before_and_behind_other_models(run: Run, python_file: Write, tmp_path: Path) -> None:
    models = {
        "before": python_file('return {"x": input_data["x"] - 1}'),
        "model": doubling(tmp_path / "onnx"),
        "behind": python_file('return {"y": input_data["y"].astype(np.float64) + 0.5}'),
    }
    assert run(_FRAME, "before", "model", "behind", models=models).to_frame()["out.y"].tolist() == [[0.5, 2.5, 4.5], [6.5, 8.5, 10.5]]


def test_missing_numbers_are_nan(run: Run, python_file: Write) -> None:
    frame = pd.DataFrame({"x": [1.0, None]})
    path = python_file('return {"missing": np.isnan(input_data["x"])}')
    assert run(frame, "m", models={"m": path}).to_frame()["out.missing"].tolist() == [False, True]


def test_the_file_of_a_store_has_no_suffix(run: Run, python_file: Write, tmp_path: Path) -> None:
    path = python_file('return {"y": input_data["x"]}').rename(tmp_path / "0123")
    _load(path)
    assert not (tmp_path / "__pycache__").exists()


def test_a_zip_may_have_modules_that_its_step_imports(run: Run, tmp_path: Path) -> None:
    main = "from helper import add\n\n\ndef process_data(input_data):\n    import late\n    return {'y': add(input_data['x']) + late.ONE}\n"
    path = _zip(tmp_path / "a.zip", main=main, helper="def add(x):\n    return x + 1\n", late="ONE = 1\n")
    for _ in range(2):
        assert run(_FRAME, "m", models={"m": path}).to_frame()["out.y"].tolist() == [[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]
    assert "helper" not in sys.modules
    assert "late" not in sys.modules
    assert not [entry for entry in sys.path if "orchlite-step" in entry]


def test_two_zips_may_have_modules_of_one_name(run: Run, tmp_path: Path) -> None:
    main = "from helper import NUMBER\n\n\ndef process_data(input_data):\n    return {name: x + NUMBER for name, x in input_data.items()}\n"
    models = {str(number): _zip(tmp_path / f"{number}.zip", main=main, helper=f"NUMBER = {number}\n") for number in (1, 10)}
    assert run(pd.DataFrame({"x": [0.0]}), "1", "10", models=models).to_frame()["out.x"].tolist() == [11.0]


def test_a_coroutine_is_awaited(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("import asyncio\n\n\nasync def process_data(input_data):\n    await asyncio.sleep(0)\n    return input_data\n")
    assert run(pd.DataFrame({"x": [1.0]}), "m", models={"m": path}).to_frame()["out.x"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "defines no function 'process_data'"),
        ("process_data = 1\n", "defines no function 'process_data'"),
        ("def process_data(:\n", "cannot be imported: SyntaxError"),
        ("1 / 0\n", r"cannot be imported: ZeroDivisionError: division by zero\. Mend"),
        ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
        (
            "import absent_package\n",
            "needs the package 'absent_package', which is not installed in this environment. Add it to the requirements",
        ),
    ],
)
def test_a_file_that_is_no_step_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(BadModel, match=message):
        _load(tmp_path / "a.py")


def test_a_zip_with_two_steps_or_that_is_none_is_refused(tmp_path: Path) -> None:
    step = "def process_data(input_data):\n    return input_data\n"
    with pytest.raises(BadModel, match="defines several functions 'process_data'"):
        _load(_zip(tmp_path / "a.zip", a=step, b=step))
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(content[:30] + bytes(30) + content[60:])
    with pytest.raises(BadModel, match="The file of model 'm' cannot be unpacked"):
        _load(tmp_path / "b.zip")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1", "returned int, not a dictionary of arrays"),
        ("return {}", "returned dict, not a dictionary of arrays"),
        ('raise KeyError("column")', r"failed: KeyError: 'column'\. The cause has the traceback"),
        ('raise ValueError("It ends.")', r"failed: ValueError: It ends\. The cause"),
        ("raise ValueError", r"failed: ValueError\. The cause"),
        ("import sys\nsys.exit(3)", "failed: SystemExit: 3"),
    ],
)
def test_a_step_that_fails_is_named(run: Run, python_file: Write, body: str, message: str) -> None:
    with pytest.raises(InferenceFailed, match=f"The Python step 'm' {message}"):
        run(_FRAME, "m", models={"m": python_file(body)})


def test_schemas_name_its_columns_and_their_types(python_file: Write) -> None:
    path = python_file('assert list(input_data) == ["n"]\nassert input_data["n"].dtype == np.int32\nreturn {"y": input_data["n"]}')
    schema = pa.schema([pa.field("n", pa.int32())]).serialize().to_pybytes()
    file = ModelFile(
        path, "m", "schemas", PYTHON, input_schema=schema, output_schema=pa.schema([("z", pa.int32())]).serialize().to_pybytes()
    )
    with pytest.raises(InferenceFailed, match="returned 'y', but not 'z', which its output_schema names"):
        load(file).predict(inputs_of(pd.DataFrame({"n": [1.0], "other": [1]})))
    with pytest.raises(BadData, match="needs the column 'n'; the data has 'other'"):
        load(file).predict(inputs_of(pd.DataFrame({"other": [1]})))


def test_a_damaged_schema_is_named(python_file: Write) -> None:
    file = ModelFile(python_file("return input_data"), "m", "damaged", PYTHON, input_schema=b"damaged")
    with pytest.raises(BadModel, match="The input_schema of model 'm' is no schema of Arrow"):
        load(file)


def test_any_function_is_a_step(run: Run) -> None:
    stub = PythonStep(lambda columns: {"y": np.zeros(len(columns["x"]))}, "stub")
    assert run(_FRAME, "m", models={"m": stub}).to_frame()["out.y"].tolist() == [0.0, 0.0]
