"""The packages of the extras are imported at the first need, and missed in one clear line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import orchlite

_WITHOUT = """
import sys
sys.modules[{package!r}] = None
from orchlite import MissingExtra
from orchlite.inference import libraries
try:
    libraries.{name}
except MissingExtra as error:
    print(error)
"""

_LAZY = """
import sys
import orchlite.inference.engine, orchlite.inference.log_batches, orchlite.inference.data_files
print(sorted({"numpy", "onnxruntime", "pandas", "polars", "pyarrow"} & set(sys.modules)))
"""


def _printed(code: str) -> str:
    environment = {"PYTHONPATH": str(Path(orchlite.__file__).parents[1])}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout.strip()


def test_importing_the_engine_imports_none_of_them() -> None:
    assert _printed(_LAZY) == "[]"


@pytest.mark.parametrize(("name", "package", "extra"), [("ort", "onnxruntime", "inference"), ("pl", "polars", "validations")])
def test_a_missing_package_is_named_with_its_extra(name: str, package: str, extra: str) -> None:
    message = f"Inference needs the package '{package}', which is not installed in this environment."
    assert _printed(_WITHOUT.format(name=name, package=package)) == f'{message} Install it with: pip install "orchlite[{extra}]".'


def test_another_name_is_no_package() -> None:
    from orchlite.inference import libraries

    with pytest.raises(AttributeError, match="no attribute 'tf'"):
        libraries.tf  # noqa: B018
