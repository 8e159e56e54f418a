"""The packages that the program of a run sees.

They are in the store before it starts, once for all runs that see the same. Their SHA-256 travels with the run, in its spec and its result,
so that any host can record it with the outcome.
"""

from __future__ import annotations

import platform

from orchlite.core.records import OrchestrationRow, Packages, RunRow
from orchlite.core.status import RunStatus
from orchlite.environments.base_image import HOST
from orchlite.environments.builds import Installation
from orchlite.operations.context import Context
from orchlite.runs.observation import packages_sha
from orchlite.store.run_packages import sha_of


def keep(context: Context, orchestration: OrchestrationRow, installation: Installation) -> str:
    """Return the SHA-256 of what a program sees in this environment. Block for a commit if no run of the store has seen it yet.

    Raises:
        Closed: the store was closed meanwhile.
        StoreDamaged: the store accepts no writes any more.
    """
    environments = context.environments
    host = environments.host_versions(environments.host_packages().directories) if orchestration.base_image == HOST else ()
    return keep_packages(context, Packages(platform.python_version(), installation.installed, host))


def keep_packages(context: Context, packages: Packages) -> str:
    """Return the SHA-256 of what a program sees. Block for a commit if no run of the store has seen it yet.

    Raises:
        Closed: the store was closed meanwhile.
        StoreDamaged: the store accepts no writes any more.
    """
    known = context.store.run_packages
    if not known.has(packages):
        context.commit_eventually(lambda transaction: known.insert(transaction, packages))
    return sha_of(packages)


def of_run(context: Context, run: RunRow) -> Packages | None:
    """Return the packages that the program of the run sees, or has seen; None if it was not started, or that is not known."""
    known = context.store.run_packages
    if (found := known.get(run.run_id)) is not None or run.status is not RunStatus.RUNNING:
        return found
    sha = packages_sha(context.folder.run(run.run_id), run.attempt)
    return None if sha is None else known.by_sha(sha)
