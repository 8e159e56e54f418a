"""Measures the coverage of programs in real runs, if the test session measures coverage with subprocess support.

coverage starts itself in new processes from a `.pth` file, and the interpreter of a run reads none of its host's; so a `sitecustomize`
module on `PYTHONPATH` starts it. It measures the run's working folder, whatever `source` says, because the program there is a copy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_REQUESTS = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
"""The variables by which coverage, or its user, asks for new processes to be measured; the first one wins."""

_START = '''\
"""Measures the coverage of this task run. Written by orchlite's pytest plugin."""

import atexit
import os


def _start(folder):
    config = os.environ.get("COVERAGE_PROCESS_CONFIG")
    measured = coverage.Coverage(config_file=f":data:{config}" if config else os.environ["COVERAGE_PROCESS_START"], data_suffix=True)
    measured.set_option("run:source", None)
    measured.set_option("run:source_pkgs", [])
    measured.set_option("run:include", [os.path.join(folder, "work", "*")])
    # The patch would write coverage's .pth file into the environment, which is shared: all later runs in it would be measured.
    measured.set_option("run:patch", [patch for patch in measured.get_option("run:patch") or () if patch != "subprocess"])
    measured.set_option("run:disable_warnings", ["no-data-collected", "module-not-imported", "module-not-measured"])
    measured.start()
    atexit.register(measured.save)


if "ORCHLITE_RUN_FOLDER" in os.environ:
    try:
        import coverage
    except ImportError:
        pass  # base_image="clean": coverage is not installed
    else:
        _start(os.environ["ORCHLITE_RUN_FOLDER"])
'''


def is_requested() -> bool:
    """Return whether coverage, or its user, wants the programs that this process starts to be measured."""
    return any(os.environ.get(name) for name in _REQUESTS)


def environment(folder: Path) -> dict[str, str]:
    """Write a `sitecustomize` module into the folder, and return the environment variables that make a run measure itself."""
    (folder / "sitecustomize.py").write_text(_START, encoding="utf-8")
    requests = {name: os.path.abspath(value) if name == _REQUESTS[1] else value for name in _REQUESTS if (value := os.environ.get(name))}  # noqa: PTH100
    return {**requests, "COVERAGE_FILE": _data_file(), "PYTHONPATH": str(folder)}


def _data_file() -> str:
    """Return the absolute path of this process's data file: a run has another current folder, and adds a suffix to the name."""
    coverage = sys.modules.get("coverage")
    current = coverage.Coverage.current() if coverage is not None else None
    named = current.config.data_file if current is not None else os.environ.get("COVERAGE_FILE")
    return os.path.abspath(named or ".coverage")  # noqa: PTH100
