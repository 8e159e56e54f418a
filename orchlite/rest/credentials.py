"""The credentials file: the token of a store's servers, in the form in which the platform's clients read it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from orchlite.core.errors import BadArgument
from orchlite.rest.accounts import OWNER
from orchlite.rest.authentication import checked_token
from orchlite.rest.secret_files import read_private, write_private

FILE_NAME = "credentials.json"


def settled_token(path: Path, given: str | None) -> str:
    """The token to serve with, which the file at `path` holds from now on: the one given, else the file's, else a new one.

    So a server that is started again has the token that its clients know. Removing the file has the next server make a new one.

    Raises:
        BadArgument: the token given is refused; or the file is, because it says something else or others can read it.
        DeviceFailed: it cannot be written.
    """
    if given is not None:
        write_private(path, _content(checked_token(given)), replace=True)
        return given
    if not path.exists():
        # Of servers that start at once, all but one find the file there.
        write_private(path, _content(secrets.token_urlsafe(32)), replace=False)
    return _token_in(path)


def _content(token: str) -> str:
    # The clients take these three fields and stumble over any other.
    return json.dumps({"token": token, "user_email": OWNER.email, "user_id": OWNER.user_id}, indent=2) + "\n"


def _token_in(path: Path) -> str:
    text = read_private(path, "credentials")
    try:
        return checked_token(json.loads(text)["token"])
    except (ValueError, TypeError, LookupError, RecursionError):
        pass  # outside of the handler: the error may hold the text
    raise BadArgument(f"The file {str(path)!r} holds no token.", hint="Remove it; a new one is made then.", argument="credentials")
