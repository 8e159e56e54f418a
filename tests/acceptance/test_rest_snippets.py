"""The snippets of the platform's REST guide, as `examples/rest_snippets.py` has them, run unchanged."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SNIPPETS = Path(__file__).parents[2] / "examples" / "rest_snippets.py"


@pytest.fixture(scope="module")
def printed() -> list[str]:
    done = subprocess.run([sys.executable, "-W", "error", str(SNIPPETS)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.slow
def test_every_snippet_prints_its_result(printed: list[str]) -> None:
    results = [line for line in printed if not line.startswith(("{", " "))]
    assert results == [
        "uploaded: ['id']",
        "listed: api_inference_orchestration.zip ready",
        "run once: ['id']",
        "run scheduled: ['id']",
        "tasks of these bytes: 2",
        "tasks: ['CronJob', 'Oneshot']",
        "killed: pending_kill */1 * * * *",
        "log: success ['Hello, world!']",
    ]


@pytest.mark.slow
def test_the_printed_task_has_the_fields_of_the_guide(printed: list[str]) -> None:
    [begin] = [number for number, line in enumerate(printed) if line.startswith("{")]
    task = ast.literal_eval("\n".join(line for line in printed[begin:] if line.startswith(("{", " "))))
    assert (task["name"], task["flavor"], task["status"]) == (None, "exec_orch_oneshot", "started")
    assert [run["status"] for run in task["last_runs"]] == ["success"]


def test_every_correction_is_marked_before_the_code_that_it_corrects() -> None:
    text = SNIPPETS.read_text(encoding="utf-8")
    parts = text.split("\n# --- ")[1:]
    assert len(parts) == 9
    assert [part.splitlines()[0] for part in parts if "# repaired: " not in part] == []
