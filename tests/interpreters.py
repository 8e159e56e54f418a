"""The interpreters that the machine has, and environments of theirs."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from orchlite.environments import virtualenvs


def interpreters() -> list[str]:
    """Return this interpreter, and those of other supported versions: on PATH, or installed by pyenv."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": os.path.realpath(getattr(sys, "_base_executable", sys.executable))}
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for minor in range(11, 20):
        installed = [str(path) for path in sorted(versions.glob(f"3.{minor}.*/bin/python3"))]
        if path := next(iter([*installed, *filter(None, [shutil.which(f"python3.{minor}")])]), None):
            found.setdefault(f"3.{minor}", path)
    return list(found.values())


def _version(interpreter: str) -> str:
    match = re.search(r"3\.\d+", interpreter)
    return match[0] if match else interpreter


def each_interpreter() -> list[ParameterSet]:
    """Return the interpreters as parameters of a test; those of other versions are slow."""
    own, *others = interpreters()
    return [pytest.param(own, id=version_of(own)), *(pytest.param(each, id=version_of(each), marks=pytest.mark.slow) for each in others)]


def version_of(interpreter: str) -> str:
    """Return the version in the interpreter's path, without the patch release."""
    match = re.search(r"3\.\d+", interpreter)
    return match[0] if match else f"{sys.version_info.major}.{sys.version_info.minor}"


def make_environment(interpreter: str, folder: Path) -> Path:
    """Create an environment as `virtualenvs` does, but of any interpreter; return its site-packages."""
    site_packages = folder / "lib" / f"python{version_of(interpreter)}" / "site-packages"
    site_packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(interpreter)
    (folder / "pyvenv.cfg").write_text(f"home = {Path(interpreter).parent}\ninclude-system-site-packages = false\n")
    virtualenvs._write_pth_file(folder, site_packages)
    return site_packages
