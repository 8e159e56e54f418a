"""orchlite: ML workload orchestrations, in-process, on one machine, offline.

The public names, nothing else. They are looked up on first use (PEP 562), so that `import orchlite` costs next to nothing.
"""

from __future__ import annotations

import sys

from orchlite.version import VERSION as __version__  # noqa: N811

if sys.platform == "win32":
    raise ImportError("orchlite needs a POSIX system: on Windows, install and use it inside WSL (https://aka.ms/wsl).")

TYPE_CHECKING = False  # importing typing would cost every task several milliseconds
if TYPE_CHECKING:
    from typing import Any

    from orchlite.client import Client
    from orchlite.errors import (
        BadArgument,
        BadBundle,
        BadRequirement,
        Closed,
        Conflict,
        DeviceFailed,
        IllegalMove,
        InvalidInput,
        NotFound,
        NotInTask,
        OrchliteError,
        PackagingFailed,
        RunFailed,
        StorageFull,
        StoreBusy,
        StoreDamaged,
        StoreTooNew,
        WaitTimeout,
    )
    from orchlite.logs import Log, LogLine
    from orchlite.orchestration import Orchestration
    from orchlite.records import Limits
    from orchlite.status import OrchestrationStatus, RunStatus, TaskStatus
    from orchlite.task import Task
    from orchlite.task_context import in_task, task_args
    from orchlite.task_run import TaskRun
    from orchlite.workspace import Workspace

_HOMES = {
    "orchlite.client": ("Client",),
    "orchlite.errors": (
        "BadArgument", "BadBundle", "BadRequirement", "Closed", "Conflict", "DeviceFailed", "IllegalMove", "InvalidInput",
        "NotFound", "NotInTask", "OrchliteError", "PackagingFailed", "RunFailed", "StorageFull", "StoreBusy", "StoreDamaged",
        "StoreTooNew", "WaitTimeout",
    ),
    "orchlite.logs": ("Log", "LogLine"),
    "orchlite.orchestration": ("Orchestration",),
    "orchlite.records": ("Limits",),
    "orchlite.status": ("OrchestrationStatus", "RunStatus", "TaskStatus"),
    "orchlite.task": ("Task",),
    "orchlite.task_context": ("in_task", "task_args"),
    "orchlite.task_run": ("TaskRun",),
    "orchlite.workspace": ("Workspace",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BadArgument",
    "BadBundle",
    "BadRequirement",
    "Client",
    "Closed",
    "Conflict",
    "DeviceFailed",
    "IllegalMove",
    "InvalidInput",
    "Limits",
    "Log",
    "LogLine",
    "NotFound",
    "NotInTask",
    "Orchestration",
    "OrchestrationStatus",
    "OrchliteError",
    "PackagingFailed",
    "RunFailed",
    "RunStatus",
    "StorageFull",
    "StoreBusy",
    "StoreDamaged",
    "StoreTooNew",
    "Task",
    "TaskRun",
    "TaskStatus",
    "WaitTimeout",
    "Workspace",
    "__version__",
    "in_task",
    "task_args",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'orchlite' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
