"""The verb `token`: what a client of the store's REST API sends to be let in."""

from __future__ import annotations

from pathlib import Path

import click

from orchlite.cli.lists import open_store
from orchlite.cli.options import Verb
from orchlite.cli.serve import server_is_missing
from orchlite.core.errors import Conflict


@click.command(cls=Verb, anywhere=True, short_help="Print the token of the REST API.")
@click.option("--new", is_flag=True, help="Make a new token, so that the old one is worth nothing. Not while the store is served.")
def token(new: bool) -> None:
    """Print the token with which a client of `orchlite serve` acts as the store's owner. Make one if there is none.

    Whoever has it can run any program here. It is a secret: pass it on by $(orchlite token), and give other people accounts of their
    own (`serve --accounts`), which log in with a password.

    With --json, print {"token", "credentials", "url"}: the file that holds it, and the address of the running server or null.
    """
    from orchlite.core import served_stores  # `hashlib` is slow to import

    try:
        from orchlite.rest.credentials import FILE_NAME, ensure_token, new_token
    except ModuleNotFoundError as error:
        raise server_is_missing(error, "token") from error
    with open_store() as (client, out):
        served = served_stores.find(client.path())
        if new and served is not None:
            raise Conflict(
                f"The store is served at {served.url}, with the token that it has.", hint="Stop that server first.", url=served.url
            )
        path = client.path() / FILE_NAME if served is None else Path(served.credentials)
        known = ensure_token(path, new_token() if new else None)
        out.json({"token": known, "credentials": str(path), "url": served and served.url}) if out.as_json else out.line(known)
