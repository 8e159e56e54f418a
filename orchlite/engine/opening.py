"""Opens a store, and names the reason if the operating system refuses."""

from __future__ import annotations

from orchlite.core.clock import Clock
from orchlite.core.folders import StoreFolder
from orchlite.core.settings import Settings
from orchlite.core.system_errors import device_error
from orchlite.engine.engine import Engine
from orchlite.environments.environments import Environments
from orchlite.runs.protocol import Process


def open_engine(folder: StoreFolder, environments: Environments, clock: Clock, settings: Settings, process: Process | None) -> Engine:
    """Open a store; see `Engine`.

    Raises:
        ResourceExhausted, StorageFull, DeviceFailed: the operating system refuses, for the reason named; and as `Engine`.
    """
    try:
        return Engine(folder, environments, clock, settings, process)
    except OSError as error:
        raise device_error(error, f"The store {folder.path} cannot be opened", store=str(folder.path)) from error
