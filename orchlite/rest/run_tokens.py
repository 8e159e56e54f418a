"""Tokens of runs: what a program sends that a task runs, and that asks the server of its own store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchlite.client.client import engine_of
from orchlite.core.served_stores import run_of
from orchlite.core.status import RunStatus
from orchlite.rest.accounts import OWNER, Account

if TYPE_CHECKING:
    from orchlite.client.client import Client


class RunTokens:
    """The tokens of one store's runs. Each is valid while its run is in progress, with the owner's rights, which the run has anyway."""

    def __init__(self, client: Client, secret: str) -> None:
        """Know the runs of the client's store. `secret` is the server's token, with which a run makes its own."""
        self._runs = engine_of(client).store.runs
        self._secret = secret

    def authenticate(self, token: str) -> Account | None:
        """Return the account of a token; None if it is none, or its run has ended. Reads the store only for a token that is one."""
        run_id = run_of(self._secret, token)
        run = None if run_id is None else self._runs.find(run_id)
        return OWNER if run is not None and run.status is RunStatus.RUNNING else None
