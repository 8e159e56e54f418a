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

    from orchlite.checking import Finding
    from orchlite.client import Client
    from orchlite.connection import Connection
    from orchlite.errors import (
        BadArgument,
        BadBundle,
        BadRequirement,
        BadSchedule,
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
    from orchlite.event import Event
    from orchlite.logs import Log, LogLine
    from orchlite.orchestration import Orchestration
    from orchlite.pruning import Pruned
    from orchlite.records import Limits, Retention
    from orchlite.schedules import upcoming
    from orchlite.status import OrchestrationStatus, RunStatus, TaskStatus
    from orchlite.task import Task
    from orchlite.task_context import in_task, task_args
    from orchlite.task_run import TaskRun
    from orchlite.workspace import Workspace

_HOMES = {
    "orchlite.checking": ("Finding",),
    "orchlite.client": ("Client",),
    "orchlite.connection": ("Connection",),
    "orchlite.errors": (
        "BadArgument", "BadBundle", "BadRequirement", "BadSchedule", "Closed", "Conflict", "DeviceFailed", "IllegalMove", "InvalidInput",
        "NotFound", "NotInTask", "OrchliteError", "PackagingFailed", "RunFailed", "StorageFull", "StoreBusy", "StoreDamaged",
        "StoreTooNew", "WaitTimeout",
    ),
    "orchlite.event": ("Event",),
    "orchlite.logs": ("Log", "LogLine"),
    "orchlite.orchestration": ("Orchestration",),
    "orchlite.pruning": ("Pruned",),
    "orchlite.records": ("Limits", "Retention"),
    "orchlite.status": ("OrchestrationStatus", "RunStatus", "TaskStatus"),
    "orchlite.schedules": ("upcoming",),
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
    "BadSchedule",
    "Client",
    "Closed",
    "Conflict",
    "Connection",
    "DeviceFailed",
    "Event",
    "Finding",
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
    "Pruned",
    "Retention",
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
    "upcoming",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'orchlite' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
