"""The `wallaroo` module that programs import: the interface of the platform's SDK, implemented by orchlite. Contains no code of the SDK.

It works in every environment without being installed. Names that are emulated work. Other names of the SDK can be imported, used in type
hints and caught by `except`, and raise NotImplementedError when they are called. Any other name is an AttributeError or ImportError.

It is imported at the start of every task, with a budget of 5 ms, so everything is imported on first use.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # type checkers take this name for True; importing `typing` for it would break the budget
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

    from ._client import Client

__all__ = ["Client", "DeploymentConfigBuilder", "in_task", "task_args"]  # the first two are imported on first use

__version__ = "2026.1.3"
"""The version of the SDK that this module emulates. `__orchlite__` is orchlite's version."""


def in_task() -> bool:
    """Return whether this process is a task run."""
    from orchlite.core import task_context

    return task_context.in_task()


def task_args() -> dict[str, Any]:
    """Return the arguments of this run's task.

    Raises:
        orchlite.NotInTask: this process is not a task run (also a `FileNotFoundError`).

    """
    from orchlite.core import task_context

    return task_context.task_args()


def __getattr__(name: str) -> Any:
    if name == "__orchlite__":
        from orchlite.core.version import VERSION

        return VERSION
    if name == "Client":  # without the table of names, which takes as long as the client itself
        from . import _client

        return globals().setdefault(name, _client.Client)
    # No name of the SDK begins with an underscore; looking one up would recurse while `_submodules` itself is being imported.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._submodules import attribute

    return attribute(sys.modules[__name__], name)


def __dir__() -> list[str]:
    from ._submodules import names

    return sorted({*globals(), *names("")})


class _SdkModules:
    """The import hook for this package's public submodules, which are made from the table of the SDK's names."""

    package = __name__

    @classmethod
    def find_spec(cls, full_name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, name = full_name.partition(cls.package + ".")
        if package or not name or name.startswith("_"):
            return None
        from ._submodules import spec

        return spec(name)


# The last hook, so that it is asked only for names without a file; and installed once, even if this module is reloaded.
if not any(getattr(finder, "package", None) == __name__ for finder in sys.meta_path):
    sys.meta_path.append(_SdkModules)
