"""Keeps what is recorded of an orchestration's environment true, and says so if other versions are installed in it than before."""

from __future__ import annotations

import logging

from orchlite.core.records import OrchestrationRow
from orchlite.core.text import listed
from orchlite.environments.builds import Installation
from orchlite.operations.context import Context
from orchlite.operations.installation import Provided
from orchlite.store import events
from orchlite.store.database import Transaction

_NAMED_CHANGES = 8
_log = logging.getLogger(__name__)


def record(context: Context, orchestration: OrchestrationRow, provided: Provided) -> None:
    """Record the environment that replaces the recorded one, unless that still serves hosts on another interpreter.

    If its versions are others, add a warning to the orchestration, and an event.
    """
    used = provided.installation
    if (used.key, used.installed) == (orchestration.environment_key, orchestration.installed):
        return
    if used.key != orchestration.environment_key and _still_serves(context, orchestration):
        return
    text = _difference(orchestration, used, provided.objection)

    def replace(transaction: Transaction) -> None:
        if context.store.orchestrations.replace_environment(transaction, orchestration, used.key, used.installed) and text:
            now = context.clock.now()
            context.store.orchestrations.add_warnings(transaction, orchestration.orchestration_id, [text])
            events.record(transaction, "orchestration", orchestration.orchestration_id, orchestration.status, "rebuilt", now, text)

    context.commit_eventually(replace)
    if text:
        _log.warning("orchestration %s: %s", orchestration.orchestration_id, text)


def _still_serves(context: Context, orchestration: OrchestrationRow) -> bool:
    found = context.environments.find(orchestration.environment_key) if orchestration.environment_key else None
    return found is not None and found.installed == orchestration.installed


def _difference(orchestration: OrchestrationRow, used: Installation, objection: str | None) -> str | None:
    if not orchestration.environment_key or used.installed == orchestration.installed:  # a simulated run has needed no environment
        return None
    was, now = _versions(orchestration.installed), _versions(used.installed)
    changes = [_change(name, was.get(name), now.get(name)) for name in sorted(was.keys() | now.keys()) if was.get(name) != now.get(name)]
    why = "" if objection is None else f" Why not the recorded ones: {objection.rstrip('.')}."
    return f"The environment was built again with other versions: {listed(changes, _NAMED_CHANGES)}.{why}"


def _versions(installed: tuple[str, ...]) -> dict[str, str]:
    return {name: version for name, _, version in (line.rpartition("==") for line in installed)}


def _change(name: str, was: str | None, now: str | None) -> str:
    if was is None:
        return f"{name} {now} is new"
    return f"{name} {was} is gone" if now is None else f"{name} {now} in place of {was}"
