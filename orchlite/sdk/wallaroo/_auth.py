"""`Client.auth` and `Client.api_endpoint`: the account of a client, and how it reaches a REST server of its store."""

from __future__ import annotations

import json
from pathlib import Path

from orchlite.core import owner, served_stores, task_context
from orchlite.core.served_stores import ServedStore

from ._absent import refuse

_HINT = "it needs a server of this store, and none is running: start one with `orchlite serve`."


class Auth:
    """The account that everything in the store belongs to."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def user_id(self) -> str:
        """Return the account's id, a UUID."""
        return owner.owner_id()

    def user_email(self) -> str:
        """Return the account's address."""
        return owner.EMAIL

    def auth_header(self) -> dict[str, str]:
        """Return the header of a request to `Client.api_endpoint`. In a task its token is valid until the run ends.

        Raises:
            NotImplementedError: no server of this store is running.
        """
        secret = json.loads(Path(served(self._store, "Client.auth.auth_header").credentials).read_bytes())["token"]
        run_id = task_context.own_run(str(self._store))
        token = secret if run_id is None else served_stores.run_token(secret, run_id)
        return {"Authorization": f"Bearer {token}"}


def served(store: Path, name: str) -> ServedStore:
    """Return the running server of a store, for the call or attribute `name`.

    Raises:
        NotImplementedError: there is none.
    """
    return served_stores.find(store) or refuse(name, _HINT)
