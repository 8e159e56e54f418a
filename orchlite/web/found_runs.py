"""Which run an address names: its id, or the first digits of that."""

from __future__ import annotations

from orchlite.client.lookup import Lookup
from orchlite.client.task_run import TaskRun
from orchlite.core.errors import Ambiguous, NotFound
from orchlite.core.text import listed
from orchlite.web.visit import Visit

_MOST = 10


def found_run(visit: Visit) -> TaskRun:
    """Return the run of the address.

    Raises:
        NotFound: there is none.
        Ambiguous: several ids begin like this.
    """
    run_id = visit.request.path_params["run_id"]
    if (row := visit.engine.store.runs.find(run_id)) is not None:
        return TaskRun(visit.engine, row.run_id, row.task_id)
    found = Lookup(visit.engine, 0).runs(run_id)
    if len(found) > 1:
        ids = [run.id() for run in found]
        addresses = listed([f"/runs/{one}" for one in ids], _MOST)
        raise Ambiguous(f"{len(ids)} runs have an id that begins with {run_id!r:.60}.", hint=f"Open one of {addresses}.", candidates=ids)
    if not found:
        raise NotFound(f"There is no run {run_id!r:.60} in this store.", hint="It may have been pruned.", run_id=run_id)
    return found[0]
