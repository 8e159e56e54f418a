"""Examples are run with the real SDK, against a server of this project: what they call is the platform's, not orchlite's alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import orchlite
from orchlite import rest
from tests.acceptance.sdk.conftest import Run
from tests.acceptance.sdk.real_sdk import SDK_2026

_EXAMPLES = Path(__file__).parents[3] / "examples"

# The SDK reads the arguments of a task from a file in /home/jovyan, which is not there.
_WITH_ARGUMENTS = """
import json, runpy, sys
import wallaroo
wallaroo.Client.task_args = lambda self: json.loads(sys.argv[1])
runpy.run_path("main.py", run_name="__main__")
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def python(server: rest.Server, run: Run, tmp_path: Path) -> Callable[..., list[str]]:
    """Run a program with the SDK, and return the lines that it prints."""

    def python(*command: str, folder: Path = tmp_path) -> list[str]:
        done = run(SDK_2026, *command, folder=folder, variables=server.environment())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    return python


@pytest.fixture
def arguments(client: orchlite.Client) -> dict[str, Any]:
    """Those of the programs, with a pipeline that was deployed once."""
    client.set_current_workspace(client.create_workspace("houses"))
    model = client.upload_model("house-prices", _EXAMPLES / "models" / "house_prices.onnx").configure(tensor_fields=["tensor"])
    client.build_pipeline("house-prices").add_model_step(model).deploy().undeploy()
    return {"workspace": "houses", "pipeline": "house-prices", "model": "house-prices", "connection": "new-houses"}


def test_connector(client: orchlite.Client, python: Callable[..., list[str]], arguments: dict[str, Any], tmp_path: Path) -> None:
    table = pa.table({"tensor": [[3.0, 2.0, 120.0, 15.0], [4.0, 3.0, 180.0, 2.0]]})
    with pa.ipc.new_file(tmp_path / "houses.arrow", table.schema) as file:
        file.write(table)
    client.create_connection("new-houses", "HTTP", {"url": (tmp_path / "houses.arrow").as_uri(), "token": ""})
    assert python("-c", _WITH_ARGUMENTS, json.dumps(arguments), folder=_EXAMPLES / "connector") == [
        "2 houses from new-houses",
        "2 prices by house-prices: 398000.0 to 583400.0, 490700.0 on average",
    ]
    assert client.get_pipeline("house-prices").status()["status"] == "Pipeline house-prices is not deployed"


def test_new_model(client: orchlite.Client, python: Callable[..., list[str]], arguments: dict[str, Any]) -> None:
    printed = python("-c", _WITH_ARGUMENTS, json.dumps(arguments), folder=_EXAMPLES / "new_model")
    assert [line.split() for line in printed[-4:]] == [
        ["old", "new", "change"],
        ["0", "398000.0", "403000.0", "+1.3%"],
        ["1", "583400.0", "602600.0", "+3.3%"],
        ["2", "203000.0", "189000.0", "-6.9%"],
    ]
    assert len(client.list_models()[0].versions()) == 2


def test_notebook(python: Callable[..., list[str]]) -> None:
    price, orchestration, line, *logs = python("", str(_EXAMPLES / "notebook.py"))
    assert (price, orchestration) == ("[[398000.0]]", "valuation ready")
    assert line.endswith(" stdout F 2 prices, the highest 583400.0")
    assert [re.split(r"\s{2,}", row.strip()) for row in logs] == [
        ["in.tensor", "out.price"],
        ["0", "[2.0, 1.0, 60.0, 40.0]", "[203000.0]"],
        ["1", "[4.0, 3.0, 180.0, 2.0]", "[583400.0]"],
        ["2", "[3.0, 2.0, 120.0, 15.0]", "[398000.0]"],
    ]
