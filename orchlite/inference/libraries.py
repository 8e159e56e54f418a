"""The third-party packages of the extras, by the short names of their communities: `libraries.np`, `libraries.pd`, …

Each is imported when its name is first used (PEP 562), and then is an ordinary global of this module.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from orchlite.core.errors import MissingExtra

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


def loaded(name: str) -> Any:
    """Return the package with this short name if this process has imported it; else None. Imports nothing."""
    import sys

    return sys.modules.get(_PACKAGES[name])


def _imported(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        extra = _EXTRAS.get(package, _DEFAULT_EXTRA)
        message = f"Inference needs the package {package!r}, which is not installed in this environment."
        hint = f'Install it with: pip install "orchlite[{extra}]".'
        raise MissingExtra(message, hint=hint, package=package, extra=extra) from error
