"""A run infers whatever its base image is: with what its program has installed, and with the host's packages where that is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import onnxruntime
import pytest

from orchlite import Client
from tests.onnx_models import summing

pytestmark = pytest.mark.slow

_OLD = ["numpy==1.23.5", "pandas==1.5.3", "pyarrow==12.0.1"]

_CLEAN = """
import sys
import wallaroo

before = list(sys.path)
pipeline = wallaroo.Client().get_pipeline("pipe")
print(pipeline.infer({"x": [[1, 2, 3]]}))
print(pipeline.infer_from_file("data.json")["out.sum"].tolist())
assert sys.path == before
print(sys.modules["onnxruntime"].__file__)
print(sys.modules["numpy"].__file__)
try:
    import click
except ImportError:
    print("no other package of the host")
"""

_WITH_FRAMES = """
import numpy, pandas, pyarrow
import wallaroo

pipeline = wallaroo.Client().get_pipeline("pipe")
frame = pipeline.infer(pandas.DataFrame({"x": [[1, 2.5, 3]]}), dataset=["*", "metadata"])
print(frame["in.x"].tolist(), frame["out.sum"].tolist(), str(frame["time"].dtype))
table = pipeline.infer(pyarrow.table({"x": pyarrow.array([[1, 2, 3]], pyarrow.list_(pyarrow.float32(), 3))}))
print(table.column("out.sum").to_pylist(), table.schema.field("anomaly.count").type)
print([cell.tolist() for cell in pipeline.logs()["out.sum"]])
print(numpy.__version__, pandas.__version__, pyarrow.__version__)
"""


@pytest.fixture
def infers(client: Client, folder: Callable[..., Path], tmp_path: Path) -> Callable[..., list[str]]:
    """Deploy a pipeline, run a program that infers with it on a base image, and return the lines that it prints."""
    client.build_pipeline("pipe").add_model_step(client.upload_model("model", summing(tmp_path / "m.onnx"))).deploy()

    def run(program: str, base_image: str | list[str]) -> list[str]:
        bundle = folder({"main.py": program, "data.json": '[{"x": [1.0, 2.0, 3.0]}]'})
        orchestration = client.upload_orchestration(path=bundle, base_image=base_image).wait()
        return str(orchestration.run_once().wait().raise_for_failure().logs()).splitlines()

    return run


def test_on_a_clean_base_image_the_hosts_packages_are_used_and_no_others(infers: Callable[..., list[str]]) -> None:
    lines = infers(_CLEAN, "clean")
    assert lines == ["[{'sum': [6.0]}]", "[[6.0]]", onnxruntime.__file__, numpy.__file__, "no other package of the host"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="these versions have no wheels for this Python")
def test_old_packages_of_the_program_are_used_with_the_hosts_onnxruntime(infers: Callable[..., list[str]]) -> None:
    *lines, versions = infers(_WITH_FRAMES, _OLD)
    assert lines == ["[[1.0, 2.5, 3.0]] [[6.5]] datetime64[ns]", "[[6.0]] uint32", "[[6.0], [6.5]]"]
    assert versions == "1.23.5 1.5.3 12.0.1"


def test_the_hosts_packages_are_used_on_its_own_base_image(infers: Callable[..., list[str]]) -> None:
    assert infers(_WITH_FRAMES, "host")[:2] == ["[[1.0, 2.5, 3.0]] [[6.5]] datetime64[ns]", "[[6.0]] uint32"]
