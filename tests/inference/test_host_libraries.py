"""A task finds in its host's folders what inference needs, and nothing else; what its program has installed comes first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import orchlite

_ROOT = Path(orchlite.__file__).parents[1]
_HOST = str(Path(np.__file__).parents[1])
_IN_TASK = {"WALLAROO_TASK_ID": "t", "ORCHLITE_HOST_LIBRARIES": _HOST}

_TRY = """
import sys
sys.path += {path!r}
before = list(sys.path)
from orchlite import MissingExtra
from orchlite.inference import libraries
try:
    found = libraries.{name}
    print(found.__name__)
except MissingExtra as error:
    print(error)
assert sys.path == before
try:
    import click
    print("click is found")
except ImportError:
    pass
"""

_VERSION = "installed_version('{}'); found = type(sys)(str(found))"
"""In place of a name: the version of a package, as the name of a module, which is what is printed."""


def _printed(name: str, variables: dict[str, str], *path: Path) -> str:
    """What a Python without site-packages prints."""
    code = _TRY.format(name=name, path=[str(_ROOT), *map(str, path)])
    command = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | variables).stdout.strip()


@pytest.mark.slow
def test_what_is_missing_comes_from_the_host_and_nothing_else_does() -> None:
    for name, package in {"np": "numpy", "ort": "onnxruntime", "pa": "pyarrow", "pd": "pandas", "pl": "polars"}.items():
        assert _printed(name, _IN_TASK) == package


def test_the_version_of_what_comes_from_the_host_is_known(tmp_path: Path) -> None:
    assert _printed(_VERSION.format("numpy"), _IN_TASK) == np.__version__
    assert _printed(_VERSION.format("click"), _IN_TASK) == "None"
    (tmp_path / "numpy.py").write_text("")
    assert _printed(_VERSION.format("numpy"), _IN_TASK, tmp_path) == "None"


def test_without_folders_of_a_host_the_extra_is_named() -> None:
    text = _printed("ort", {"WALLAROO_TASK_ID": "t"})
    assert text.startswith(
        "Inference needs the package 'onnxruntime', which is not installed in this run's environment, nor found in that of its"
    )
    assert 'Install it in the host\'s environment: pip install "orchlite[inference]"; or require onnxruntime in the bundle.' in text


def test_what_the_program_has_installed_comes_first(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("__name__ = 'of the program'\n")
    assert _printed("pa", _IN_TASK, tmp_path) == "of the program"


def test_pandas_of_the_host_is_not_used_with_a_numpy_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("")
    assert "require pandas in the bundle" in _printed("pd", _IN_TASK, tmp_path)


def test_a_package_of_the_host_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("")
    (tmp_path / "host" / "onnxruntime").mkdir(parents=True)
    (tmp_path / "host" / "onnxruntime" / "__init__.py").write_text("raise ImportError('numpy is too old')\n")
    text = _printed("ort", _IN_TASK | {"ORCHLITE_HOST_LIBRARIES": str(tmp_path / "host")}, tmp_path)
    assert "Inference needs the package 'onnxruntime'" in text
