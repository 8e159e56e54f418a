"""orchlite: ML workload orchestrations, in-process, on one machine, offline.

The public names. They are imported on first use (PEP 562), because every run that calls `in_task()` imports this package.
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    raise ImportError("orchlite needs a POSIX system: on Windows, install and use it inside WSL (https://aka.ms/wsl).")

TYPE_CHECKING = False  # type checkers assume True for this name; importing `typing` takes several milliseconds
if TYPE_CHECKING:
    from typing import Any

    from orchlite.client.client import Client
    from orchlite.client.connection import Connection
    from orchlite.client.event import Event
    from orchlite.client.model import Model, ModelVersion
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.pipeline import Pipeline, PipelineVersion
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun
    from orchlite.client.workspace import Workspace
    from orchlite.core.errors import (
        Ambiguous,
        BadArgument,
        BadBundle,
        BadData,
        BadModel,
        BadRequirement,
        BadScene,
        BadSchedule,
        Closed,
        Conflict,
        DeviceFailed,
        IllegalMove,
        InferenceFailed,
        InvalidInput,
        MissingExtra,
        NotFound,
        NotInTask,
        OrchliteError,
        PackagingFailed,
        ResourceExhausted,
        RunFailed,
        StorageFull,
        StoreBusy,
        StoreDamaged,
        StoreElsewhere,
        StoreTooNew,
        WaitTimeout,
    )
    from orchlite.core.records import Packages
    from orchlite.core.settings import Limits, Retention
    from orchlite.core.status import OrchestrationStatus, RunStatus, TaskStatus
    from orchlite.core.task_context import in_task, task_args
    from orchlite.core.version import VERSION as __version__  # noqa: N811
    from orchlite.operations.comparison import Comparison, Difference
    from orchlite.operations.integrity import Finding
    from orchlite.operations.retention import Pruned
    from orchlite.operations.seeding import SeedChange
    from orchlite.runs.logs import Log, LogLine
    from orchlite.schedules.schedule import upcoming

_HOMES = {
    "orchlite.client.client": ("Client",),
    "orchlite.client.connection": ("Connection",),
    "orchlite.client.event": ("Event",),
    "orchlite.client.model": ("Model", "ModelVersion"),
    "orchlite.client.orchestration": ("Orchestration",),
    "orchlite.client.pipeline": ("Pipeline", "PipelineVersion"),
    "orchlite.client.task": ("Task",),
    "orchlite.client.task_run": ("TaskRun",),
    "orchlite.client.workspace": ("Workspace",),
    "orchlite.core.errors": (
        "Ambiguous", "BadArgument", "BadBundle", "BadData", "BadModel", "BadRequirement", "BadScene", "BadSchedule", "Closed", "Conflict",
        "DeviceFailed", "IllegalMove", "InferenceFailed", "InvalidInput", "MissingExtra", "NotFound", "NotInTask", "OrchliteError",
        "PackagingFailed", "ResourceExhausted", "RunFailed", "StorageFull", "StoreBusy", "StoreDamaged", "StoreElsewhere", "StoreTooNew",
        "WaitTimeout",
    ),
    "orchlite.core.records": ("Packages",),
    "orchlite.core.settings": ("Limits", "Retention"),
    "orchlite.core.status": ("OrchestrationStatus", "RunStatus", "TaskStatus"),
    "orchlite.core.task_context": ("in_task", "task_args"),
    "orchlite.core.version": ("__version__",),
    "orchlite.operations.comparison": ("Comparison", "Difference"),
    "orchlite.operations.integrity": ("Finding",),
    "orchlite.operations.retention": ("Pruned",),
    "orchlite.operations.seeding": ("SeedChange",),
    "orchlite.runs.logs": ("Log", "LogLine"),
    "orchlite.schedules.schedule": ("upcoming",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Ambiguous",
    "BadArgument",
    "BadBundle",
    "BadData",
    "BadModel",
    "BadRequirement",
    "BadScene",
    "BadSchedule",
    "Client",
    "Closed",
    "Comparison",
    "Conflict",
    "Connection",
    "DeviceFailed",
    "Difference",
    "Event",
    "Finding",
    "IllegalMove",
    "InferenceFailed",
    "InvalidInput",
    "Limits",
    "Log",
    "LogLine",
    "MissingExtra",
    "Model",
    "ModelVersion",
    "NotFound",
    "NotInTask",
    "Orchestration",
    "OrchestrationStatus",
    "OrchliteError",
    "Packages",
    "PackagingFailed",
    "Pipeline",
    "PipelineVersion",
    "Pruned",
    "ResourceExhausted",
    "Retention",
    "RunFailed",
    "RunStatus",
    "SeedChange",
    "StorageFull",
    "StoreBusy",
    "StoreDamaged",
    "StoreElsewhere",
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

    value = globals()[name] = getattr(import_module(_HOME_OF[name]), "VERSION" if name == "__version__" else name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
