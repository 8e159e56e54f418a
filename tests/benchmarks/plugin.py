"""The pytest plugin: `python tests/benchmarks/plugin.py`. What it costs a session that does not use it, and a suite of warm runs.

*alone* is the same runs of the same program in one temporary store. One JSON line a measure; they judge nothing.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import pytest

import orchlite
from tests.benchmarks.measure import interleaved, ratio, report, summary

_TESTS = 100
_ROUNDS = 5
_STARTS = 25
_QUIET = ("-q", "-p", "no:cacheprovider")
_PLUGIN = ("-p", "orchlite.pytest_plugin")
_SUITE = f"""
import pytest

@pytest.mark.parametrize("number", range({_TESTS}))
def test_runs(run_orchestration, number):
    assert run_orchestration("program").status() == "success"
"""


def suite() -> None:
    """A hundred tests with one warm run each, against the runs alone."""
    Path("program").mkdir()
    Path("program/main.py").write_text("pass\n")
    Path("test_suite.py").write_text(_SUITE)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the plugin is named, whether or not it is installed
    with orchlite.Client.temporary(standby_seconds=0) as client:  # as in the tests
        taken = interleaved({"alone": partial(_runs, client), "suite": partial(_session, "test_suite.py")}, rounds=_ROUNDS)
    report("100 tests, a warm run each", ratio(taken, "suite", "alone"), "x the runs alone", "<= 1.40", **_both(taken))


def idle() -> None:
    """A session of one test that uses no fixture, with the plugin and without it."""
    Path("test_idle.py").write_text("def test_idle():\n    pass\n")
    command = [sys.executable, "-m", "pytest", *_QUIET, "test_idle.py"]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    start = partial(subprocess.run, env=env, check=True, capture_output=True)
    taken = interleaved({"alone": partial(start, command), "suite": partial(start, [*command, *_PLUGIN])}, rounds=_STARTS)
    both = _both(taken)
    report("the plugin unused", both["suite"]["median_ms"] - both["alone"]["median_ms"], "ms", "<= 5", **both)


def _runs(client: orchlite.Client) -> None:
    for _ in range(_TESTS):
        client.run("program")


def _session(*arguments: str) -> None:
    with redirect_stdout(io.StringIO()):
        assert pytest.main([*_QUIET, *_PLUGIN, *arguments]) == 0


def _both(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {name: summary(seconds) for name, seconds in taken.items()}


if __name__ == "__main__":
    for measure in (idle, suite):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            measure()
            os.chdir("/")
