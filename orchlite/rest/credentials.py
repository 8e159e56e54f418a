"""The credentials file: the token of a store's servers, in the format that the platform's clients read."""

from __future__ import annotations

import json
import logging
import secrets
from pathlib import Path

from orchlite.core.errors import BadArgument
from orchlite.rest.accounts import OWNER
from orchlite.rest.authentication import MIN_TOKEN_CHARACTERS, checked_token, sendable_token
from orchlite.rest.secret_files import read_secret_file, write_secret_file

FILE_NAME = "credentials.json"
_log = logging.getLogger(__name__)


def ensure_token(path: Path, token: str | None) -> str:
    """Return the token to serve with, and store it in the file at `path`: `token`, else the file's, else a new one.

    A restarted server therefore keeps the token that its clients know. `orchlite token --new` makes another.

    Raises:
        BadArgument: the token is invalid or too short, or the file has no token, or others have access to it.
        DeviceFailed: the file cannot be written.
    """
    if token is not None:
        write_secret_file(path, _content(checked_token(token)), replace=True)
        return token
    if not path.exists():
        # Of servers that start at the same time, one creates the file, and the others read it.
        write_secret_file(path, _content(new_token()), replace=False)
    return _token_in(path)


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(32)


def _content(token: str) -> str:
    # The clients take these three fields and fail on any other.
    return json.dumps({"token": token, "user_email": OWNER.email, "user_id": OWNER.user_id}, indent=2) + "\n"


def _token_in(path: Path) -> str:
    text = read_secret_file(path, "credentials")
    try:
        token = sendable_token(json.loads(text)["token"])
        if len(token) < MIN_TOKEN_CHARACTERS:
            _log.warning(
                "the token in %s has fewer than %d characters, and could be guessed. Remove the file: the next server makes a new one.",
                path,
                MIN_TOKEN_CHARACTERS,
            )
        return token
    except (ValueError, TypeError, LookupError, RecursionError):
        pass  # raised outside of the handler, because the parser's error holds the text
    raise BadArgument(
        f"The file {str(path)!r} holds no token.", hint="Remove it, and the next server makes a new one.", argument="credentials"
    )
