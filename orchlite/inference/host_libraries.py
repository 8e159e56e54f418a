"""In a task: packages of the hosting interpreter that inference needs and the program's environment does not have.

A model runs in the process of the task, whatever its base image is. What the program has installed always comes first; only what is
missing comes from the host, package by package: its folders never enter `sys.path`, so that the program imports nothing else from there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from orchlite.core.task_context import HOST_LIBRARIES_VARIABLE

_WITH = {
    "numpy": (),
    "onnxruntime": ("numpy",),
    "pandas": ("numpy", "dateutil", "pytz", "six", "tzdata"),
    "polars": ("_polars_runtime_32", "_polars_runtime_64", "_polars_runtime_compat", "typing_extensions"),
    "pyarrow": (),
}
"""The packages that inference imports, and those that they import in turn."""

_BUILT_AGAINST = {"pandas": "numpy"}
"""pandas refuses a numpy that is older than it wants: the host's pandas needs the host's numpy."""


class HostLibraries:
    """Finds these packages in the host's folders, and nothing else. The last hook, so that it is asked only for what is not installed."""

    names: frozenset[str] = frozenset()

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the module's spec; None for any other name. See `importlib.abc.MetaPathFinder`."""
        return PathFinder.find_spec(name, _folders()) if path is None and name in cls.names else None


def make_importable(package: str) -> bool:
    """Let `package` and what it needs be found in the host's folders. Return False if this process has no host, or that would not work."""
    own_core = _BUILT_AGAINST.get(package)
    if not _folders() or (own_core is not None and _is_of_program(own_core)):
        return False
    HostLibraries.names |= {package, *_WITH[package]}
    if HostLibraries not in sys.meta_path:
        sys.meta_path.append(HostLibraries)
    return True


def _folders() -> list[str]:
    return [folder for folder in os.environ.get(HOST_LIBRARIES_VARIABLE, "").split(os.pathsep) if folder]


def _is_of_program(package: str) -> bool:
    return PathFinder.find_spec(package) is not None
