"""The third-party packages of the extras, by the short names of their communities: `libraries.np`, `libraries.pd`, …

Each is imported when its name is first used (PEP 562), and then is an ordinary global of this module.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from orchlite.core.errors import MissingExtra
from orchlite.core.task_context import in_task
from orchlite.inference import host_libraries

np: Any
"""numpy"""
ort: Any
"""onnxruntime"""
pa: Any
"""pyarrow"""
pd: Any
"""pandas"""
pl: Any
"""polars"""

_PACKAGES = {"np": "numpy", "ort": "onnxruntime", "pa": "pyarrow", "pd": "pandas", "pl": "polars"}
_EXTRAS = {"polars": "validations"}
_DEFAULT_EXTRA = "inference"


def __getattr__(name: str) -> Any:
    if name not in _PACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = _imported(_PACKAGES[name])
    return value


def is_frame(data: object) -> bool:
    """Return whether this is a DataFrame of pandas. Imports nothing: without pandas there is none."""
    return (pandas := sys.modules.get("pandas")) is not None and isinstance(data, pandas.DataFrame)


def is_table(data: object) -> bool:
    """Return whether this is an Arrow table. Imports nothing."""
    return (pyarrow := sys.modules.get("pyarrow")) is not None and isinstance(data, pyarrow.Table)


def installed_version(distribution: str) -> str | None:
    """Return the version of a distribution that this process can import, from its own environment or its host's; None if there is none."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        package = distribution.lower()
    try:
        return getattr(_imported(package), "__version__", None) if package in _PACKAGES.values() else None
    except MissingExtra:
        return None


def dependencies(distribution: str) -> list[str]:
    """Return the requirements of an installed distribution, as its metadata has them; none if it has none, or is the host's."""
    from importlib import metadata

    try:
        return metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []


def _imported(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        if not host_libraries.make_importable(package):
            raise _missing(package) from error
    try:
        return import_module(package)
    except ImportError as error:
        raise _missing(package) from error


def _missing(package: str) -> MissingExtra:
    extra = _EXTRAS.get(package, _DEFAULT_EXTRA)
    hint = f'Install it with: pip install "orchlite[{extra}]".'
    where = "in this environment"
    if in_task():
        where = "in this run's environment, nor found in that of its host"
        hint = f'Install it in the host\'s environment: pip install "orchlite[{extra}]"; or require {package} in the bundle.'
    message = f"Inference needs the package {package!r}, which is not installed {where}."
    return MissingExtra(message, hint=hint, package=package, extra=extra)
