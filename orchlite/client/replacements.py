"""What a task may run instead of what it runs now."""

from __future__ import annotations

from collections.abc import Sequence

from orchlite.client.orchestration import Orchestration
from orchlite.client.task import Task
from orchlite.core.status import OrchestrationStatus
from orchlite.engine.engine import Engine

_OTHERS = 50


def candidates(engine: Engine, task: Task) -> Sequence[Orchestration]:
    """Return the orchestrations that a task's next run may run: up to 50 that have the name of the present one, then up to 50 others.

    Each part is newest first. All are packaged, and in the task's workspace; the present one is included.
    """
    store, present = engine.store, engine.store.orchestrations.get(task.orchestration())
    named = [] if present.name is None else store.lookups.orchestrations(task.workspace_id(), present.name, None)
    others = store.lookups.ready_orchestrations(task.workspace_id(), _OTHERS)
    ids = dict.fromkeys([*named, present.orchestration_id, *others])
    rows = [store.orchestrations.get(orchestration_id) for orchestration_id in ids]
    return [Orchestration(engine, row) for row in rows if row.status is OrchestrationStatus.READY]
