"""The real Wallaroo SDK from the package index, each version in an environment of its own, outside of this project.

Its pins clash with ours and with those of its other versions. An environment is built once and kept: in `ORCHLITE_TEST_CACHE`,
else in pytest's temporary folder, which all workers of one test session share.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_SUPPORTED = ("3.11", "3.12")
"""Versions of Python for which there are wheels of what both SDKs need."""


class InstallStep(NamedTuple):
    """One call of `pip install`."""

    packages: tuple[str, ...]
    options: tuple[str, ...] = ()


SDK_2026 = (InstallStep(("wallaroo==2026.1.3",)),)

# What 2023.2.1 asks for has no wheels for any Python that is still supported. With these, its code runs as it is.
SDK_2023 = (
    InstallStep(("wallaroo==2023.2.1",), ("--no-deps",)),
    InstallStep(
        (
            "appdirs==1.4.4",
            "attrs==26.1.0",
            "gql==3.4.0",
            "httpx==0.23.3",
            "ipython==9.18.1",
            "matplotlib==3.11.2",
            "numpy==1.26.4",
            "orjson==3.13.0",
            "pandas==2.2.3",
            "pyarrow==17.0.0",
            "pyjwt==2.4.0",
            "python-dateutil==4.0.0",
            "pyyaml==6.0.3",
            "requests==2.31.0",
            "requests-toolbelt==0.10.1",
            "scipy==1.17.1",
            "seaborn==0.13.2",
            "tenacity==9.2.1",
            "urllib3<2",
        )
    ),
)


def python_for_the_sdk() -> str | None:
    """An interpreter that both SDKs can be installed for, or None where this machine has none."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" in _SUPPORTED:
        return sys.executable
    found = (shutil.which(f"python{version}") for version in _SUPPORTED)
    # A version manager's command may be there without its version.
    return next((python for python in found if python and _succeeds(python, "-c", "pass")), None)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def environment_with(installations: tuple[InstallStep, ...], python: str, fallback: Path) -> Path:
    """The interpreter of an environment with these packages; built now where it is not there yet."""
    digest = hashlib.sha256(repr((installations, python)).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("ORCHLITE_TEST_CACHE", fallback)) / "real-sdk" / digest
    finished = folder / "finished"
    with _locked(folder.with_suffix(".lock")):
        if not finished.exists():
            _build(folder, installations, python)
            finished.touch()
    return folder / "bin" / "python"


def fonts_of(interpreter: Path) -> str:
    """Return a folder for matplotlib's list of fonts, which takes a second to make, and which all programs of an environment share."""
    return str(interpreter.parents[1] / "fonts")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path, installations: tuple[InstallStep, ...], python: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _call(sys.executable, "-m", "virtualenv", "--python", python, "--no-download", "--no-periodic-update", "--no-pip", str(folder))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-compile"]  # most is never imported
    for installation in installations:
        _call(*pip, *installation.options, *installation.packages)


def _call(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
