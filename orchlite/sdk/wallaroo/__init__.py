"""The `wallaroo` module that programs import: the face of the platform's SDK over orchlite, and nothing of the SDK itself.

Works in every environment without being installed. What is emulated works; what only the SDK has can be imported, named in type hints and
caught in `except`, and raises NotImplementedError when it is called; what not even the SDK has is an AttributeError or ImportError.

Imported at the start of every task, under a budget of 5 ms: here nothing is imported before it is asked for.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # type checkers take this name for True; importing `typing` for it would break the budget
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

    from ._client import Client

__all__ = ["Client", "DeploymentConfigBuilder", "in_task", "task_args"]  # the first two are looked up on first use

__version__ = "2026.1.3"
"""The version of the SDK that this module stands for. `__orchlite__` is orchlite's own."""


def in_task() -> bool:
    """Tell whether this process is a task run."""
    from orchlite.core import task_context

    return task_context.in_task()


def task_args() -> dict[str, Any]:
    """Return the arguments that this run's task was given.

    Raises:
        orchlite.NotInTask: this process is not a task run (also a `FileNotFoundError`).

    """
    from orchlite.core import task_context

    return task_context.task_args()


def __getattr__(name: str) -> Any:
    if name == "__orchlite__":
        from orchlite.core.version import VERSION

        return VERSION
    # An underscored name is never the SDK's; letting one through would recurse while `_submodules` itself is imported.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._submodules import attribute

    return attribute(sys.modules[__name__], name)


def __dir__() -> list[str]:
    from ._submodules import names

    return sorted({*globals(), *names("")})


class _SdkModules:
    """An import hook for this package's public submodules, which are made from the table of the SDK's names."""

    package = __name__

    @classmethod
    def find_spec(cls, full_name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, name = full_name.partition(cls.package + ".")
        if package or not name or name.startswith("_"):
            return None
        from ._submodules import spec

        return spec(name)


# Last, so that it is asked only about names that are no file; and once, even when this module is reloaded.
if not any(getattr(finder, "package", None) == __name__ for finder in sys.meta_path):
    sys.meta_path.append(_SdkModules)
