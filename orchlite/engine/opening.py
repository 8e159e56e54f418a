"""Opens a store, and names the reason if the operating system refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from weakref import WeakSet

from orchlite.core.clock import Clock, controlled
from orchlite.core.errors import BadArgument
from orchlite.core.folders import StoreFolder
from orchlite.core.settings import Settings
from orchlite.core.system_errors import device_error
from orchlite.engine.engine import Engine
from orchlite.engine.stepped import simulation_of
from orchlite.environments.environments import Environments
from orchlite.runs.protocol import Process

if TYPE_CHECKING:
    from orchlite.runs.cluster import Cluster

_used: WeakSet[Cluster] = WeakSet()
"""The clusters of the clients of this process. Those that were closed wait for no run any more."""


def checked_executor(executor: Process | Cluster | None, former: Process | Cluster | None, clock: Clock | None) -> Process | Cluster | None:
    """Return the argument `engine` of a client or, if that is not given, `process`, its former name.

    Raises:
        BadArgument: both are given; or it simulates runs, which takes a clock that is moved by hand.
    """
    if executor is not None and former is not None:
        raise BadArgument("`process` is the former name of `engine`.", hint="Pass `engine` only.", argument="process")
    name, found = ("engine", executor) if former is None else ("process", former)
    if simulation_of(found) is not None and controlled(clock) is None:
        raise BadArgument("A stub process needs a clock that is moved by hand.", hint="Pass a ManualClock, too.", argument=name)
    return found


def open_engine(
    folder: StoreFolder, environments: Environments, clock: Clock, settings: Settings, executor: Process | Cluster | None
) -> Engine:
    """Open a store; see `Engine`. `executor`: what executes runs; None: the runners of this machine.

    Raises:
        BadArgument: the cluster was given to another client.
        ResourceExhausted, StorageFull, DeviceFailed: the operating system refuses, for the reason named; and as `Engine`.
    """
    try:
        if hasattr(executor, "reserve"):  # a process has no such method
            return _open_with_cluster(folder, environments, clock, settings, cast("Cluster", executor))
        return Engine(folder, environments, clock, settings, executor)
    except OSError as error:
        raise device_error(error, f"The store {folder.path} cannot be opened", store=str(folder.path)) from error


def _open_with_cluster(folder: StoreFolder, environments: Environments, clock: Clock, settings: Settings, cluster: Cluster) -> Engine:
    from orchlite.engine import kill_sender  # a host without a cluster does not need it

    if cluster in _used:
        raise BadArgument(
            f"This {type(cluster).__name__} was given to another client, which closes it.",
            hint="Give each client one of its own.",
            argument="engine",
        )
    engine = Engine(folder, environments, clock, settings, None, cluster)
    _used.add(cluster)
    if engine.context.own_run_id is None:
        kill_sender.start(engine.context)
    return engine
