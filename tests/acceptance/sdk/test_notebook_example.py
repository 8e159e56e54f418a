"""`examples/notebook.py` is run by the real SDK's interpreter, against a server of this project."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import orchlite
from orchlite import rest
from tests.acceptance.sdk.conftest import InterpreterOf
from tests.acceptance.sdk.real_sdk import SDK_2026

_NOTEBOOK = Path(__file__).parents[3] / "examples" / "notebook.py"


@pytest.mark.slow
def test_the_notebook_infers_runs_its_bundle_and_reads_both_logs(
    client: orchlite.Client, interpreter_of: InterpreterOf, tmp_path: Path
) -> None:
    interpreter = interpreter_of(SDK_2026)
    with rest.serve(client.start(), port=0) as server:
        env = {"PATH": os.defpath, "HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path), **server.environment()}
        done = subprocess.run([str(interpreter), str(_NOTEBOOK)], env=env, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    price, orchestration, line, *logs = done.stdout.splitlines()
    assert (price, orchestration) == ("[[398000.0]]", "valuation ready")
    assert line.endswith(" stdout F 2 prices, the highest 583400.0")
    assert [re.split(r"\s{2,}", row.strip()) for row in logs] == [
        ["in.tensor", "out.price"],
        ["0", "[2.0, 1.0, 60.0, 40.0]", "[203000.0]"],
        ["1", "[4.0, 3.0, 180.0, 2.0]", "[583400.0]"],
        ["2", "[3.0, 2.0, 120.0, 15.0]", "[398000.0]"],
    ]
