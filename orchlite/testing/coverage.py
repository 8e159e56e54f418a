"""Coverage of programs that run in processes of their own, where the test session measures coverage with subprocess support.

A run's interpreter reads no path file of its host, so coverage's own way into new processes does not lead there; a `sitecustomize` module
on `PYTHONPATH` does. It measures the run's working folder, whatever `source` says: the program there is a copy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_REQUESTS = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
"""What coverage sets, or its user, where new processes are to be measured; the first one wins."""

_START = '''\
"""Measures the program of this task run; written by orchlite's pytest plugin."""

import atexit
import os


def _start(folder):
    config = os.environ.get("COVERAGE_PROCESS_CONFIG")
    found = coverage.Coverage(config_file=f":data:{config}" if config else os.environ["COVERAGE_PROCESS_START"], data_suffix=True)
    found.set_option("run:source", None)
    found.set_option("run:source_pkgs", [])
    found.set_option("run:include", [os.path.join(folder, "work", "*")])
    # The environment is shared: it must not be given coverage's path file, by which all its later runs would be measured.
    found.set_option("run:patch", [patch for patch in found.get_option("run:patch") or () if patch != "subprocess"])
    found.set_option("run:disable_warnings", ["no-data-collected", "module-not-imported", "module-not-measured"])
    found.start()
    atexit.register(found.save)


if "ORCHLITE_RUN_FOLDER" in os.environ:
    try:
        import coverage
    except ImportError:
        pass  # base_image="clean": coverage is not there
    else:
        _start(os.environ["ORCHLITE_RUN_FOLDER"])
'''


def is_asked_for() -> bool:
    """Whether programs that this process starts are to be measured."""
    return any(os.environ.get(name) for name in _REQUESTS)


def environment(folder: Path) -> dict[str, str]:
    """What a run needs in its environment to be measured; writes what it imports at its start into the folder."""
    (folder / "sitecustomize.py").write_text(_START, encoding="utf-8")
    asked = {name: os.path.abspath(value) if name == _REQUESTS[1] else value for name in _REQUESTS if (value := os.environ.get(name))}  # noqa: PTH100
    return {**asked, "COVERAGE_FILE": _data_file(), "PYTHONPATH": str(folder)}


def _data_file() -> str:
    """Where this process writes its own data, in the name of which others put a suffix: a run is in another folder."""
    coverage = sys.modules.get("coverage")
    current = coverage.Coverage.current() if coverage is not None else None
    named = current.config.data_file if current is not None else os.environ.get("COVERAGE_FILE")
    return os.path.abspath(named or ".coverage")  # noqa: PTH100
