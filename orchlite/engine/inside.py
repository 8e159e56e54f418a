"""What a client finds out when its process is a run of the store that it opens."""

from __future__ import annotations

from orchlite.core import task_context
from orchlite.core.folders import StoreFolder
from orchlite.core.records import RunRow
from orchlite.core.settings import Settings
from orchlite.store.store import Store


def own_run(folder: StoreFolder, store: Store) -> RunRow | None:
    """Return the run of this store that this process is; None if it is none."""
    run_id = task_context.own_run(str(folder.path))
    return None if run_id is None else store.runs.find(run_id)


def confine(folder: StoreFolder, store: Store, own_run: RunRow) -> None:
    """On a node of a cluster, refuse what needs the store of the host; see `Store.confine`."""
    if folder.node_mark.exists():
        store.confine(store.tasks.get(own_run.task_id).workspace_id)


def inherited(settings: Settings, store: Store, own_run: RunRow) -> Settings:
    """Return the settings for uploads by a run: unless it says otherwise, they use the base image of the run itself."""
    if settings.base_image != Settings().base_image:
        return settings
    return settings._replace(base_image=store.orchestrations.of_run(own_run.run_id).base_image)
