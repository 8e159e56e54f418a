"""Accounts that may log in with a name and a password, and the signed tokens that they receive.

Tokens are JSON Web Tokens (RFC 7519) signed with HMAC-SHA256: short-lived, renewable, and stored nowhere. The secret is enough to verify
one.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jwt

from orchlite.core import owner
from orchlite.core.clock import Clock, SystemClock
from orchlite.core.errors import BadArgument
from orchlite.rest.passwords import is_hash, matches
from orchlite.rest.secret_files import read_secret_file

ACCESS_SECONDS = 15 * 60
REFRESH_SECONDS = 12 * 60 * 60
SESSION_SECONDS = 7 * 24 * 60 * 60

_Purpose = Literal["access", "refresh", "session"]
_TOKEN_CHARACTERS = 4096
_ALGORITHM = "HS256"
_FIELDS = {"username", "password", "email", "connections"}
_log = logging.getLogger(__name__)
_ACCOUNT_IDS = uuid.UUID("8d1f1d0c-5c0e-4d6a-9a54-6f3f0c2f7b1e")
"""The namespace of account ids: a name has the same id on every server."""


class Account(NamedTuple):
    """A user of the server. All accounts may run programs; `connections` only bounds what the API shows them."""

    username: str
    email: str
    user_id: str
    password: str | None
    """A hash of `passwords.hash_password`, or plain text. None: this account cannot log in."""
    connections: Literal["shown", "masked"] = "shown"
    """Whether this account sees the values of a connection's details. What it runs sees them in both cases."""

    def __repr__(self) -> str:
        return f"Account({self.username!r})"


ACCOUNT_KEY = "orchlite.account"
"""Where the guard puts the account into the scope of a request; None if the endpoint needs no token and it has none."""

OWNER = Account("orchlite", owner.EMAIL, owner.owner_id(), None)
"""The account that owns the store and everything in it. The server's own token authenticates as this account."""


class Tokens(NamedTuple):
    """The result of a login."""

    access: str
    refresh: str


class Accounts:
    """The accounts that one server knows, and the tokens that it issues to them."""

    def __init__(self, accounts: Iterable[Account] = (), *, secret: str | None = None, clock: Clock | None = None) -> None:
        """Know `accounts` and the owner.

        `secret` signs the tokens. Servers with the same secret accept each other's tokens; by default it is random and lives as long as
        this object.

        Raises:
            BadArgument: two accounts have the same name.
        """
        known = (OWNER, *accounts)
        self._by_name = {account.username: account for account in known}
        self._by_id = {account.user_id: account for account in known}
        if len(self._by_name) < len(known):
            raise BadArgument(
                "Two accounts have the same name.", hint=f"Names are unique, and {OWNER.username!r} is taken.", argument="accounts"
            )
        self._secret = (secret or secrets.token_urlsafe(32)).encode()
        self._clock = clock or SystemClock()

    def all(self) -> list[Account]:
        """Return every account, the owner first."""
        return list(self._by_id.values())

    def find(self, user_id: str) -> Account | None:
        """Return the account with this id."""
        return self._by_id.get(user_id)

    def with_email(self, email: str) -> list[Account]:
        """Return the accounts with this address."""
        return [account for account in self._by_id.values() if account.email == email]

    def check_password(self, username: str, password: str) -> Account | None:
        """Return the account if the password is right. None does not say whether the name or the password was wrong.

        Blocks for about 0.2 s, in both cases.
        """
        account = self._by_name.get(username)
        is_right = matches(password, account.password if account else None)
        return account if is_right else None

    def log_in(self, username: str, password: str) -> Tokens | None:
        """Return tokens if the password is right, else None, as `check_password`."""
        account = self.check_password(username, password)
        return None if account is None else self.tokens(account)

    def tokens(self, account: Account) -> Tokens:
        """Return new tokens for an account."""
        return Tokens(self._token(account, "access", ACCESS_SECONDS), self._token(account, "refresh", REFRESH_SECONDS))

    def new_session(self, username: str) -> str:
        """Return a new session of an account with the page. It is valid for seven days."""
        return self._token(self._by_name[username], "session", SESSION_SECONDS)

    def of_session(self, session: str) -> Account | None:
        """Return the account of a session, or None if the session is invalid or has expired."""
        return self._verified(session, "session")

    def refresh(self, refresh_token: str) -> Tokens | None:
        """Return new tokens for a refresh token, or None if it is invalid or has expired."""
        account = self._verified(refresh_token, "refresh")
        return None if account is None else self.tokens(account)

    def authenticate(self, access_token: str) -> Account | None:
        """Return the account of an access token, or None if the token is invalid or has expired."""
        return self._verified(access_token, "access")

    def _token(self, account: Account, purpose: _Purpose, lifetime_seconds: int) -> str:
        issued_at = int(self._clock.now().timestamp())
        claims = {
            "sub": account.user_id,
            "email": account.email,
            "preferred_username": account.username,
            "typ": purpose,
            "iat": issued_at,
            "exp": issued_at + lifetime_seconds,
            "jti": secrets.token_urlsafe(9),  # two tokens issued in the same second differ
        }
        return jwt.encode(claims, self._key(account), _ALGORITHM)

    def _verified(self, token: str, purpose: _Purpose) -> Account | None:
        if len(token) > _TOKEN_CHARACTERS or not token.isascii():
            return None
        try:
            # Each account has its own key, so the account is looked up first. Nothing else is taken from the unverified claims.
            subject = jwt.decode(token, options={"verify_signature": False}).get("sub")
            account = self._by_id.get(str(subject))
            if account is None:
                return None
            claims = jwt.decode(token, self._key(account), algorithms=[_ALGORITHM], options={"verify_exp": False, "verify_iat": False})
        except jwt.PyJWTError:
            return None
        is_current = self._clock.now().timestamp() < claims["exp"]  # by our clock, which PyJWT does not know
        return account if is_current and claims["typ"] == purpose else None

    def _key(self, account: Account) -> bytes:
        # Contains the password, so that a new password invalidates the tokens issued for the old one.
        return hmac.digest(self._secret, f"{account.user_id}\0{account.password}".encode(), "sha256")


def accounts_of_file(path: str | os.PathLike[str]) -> tuple[Account, ...]:
    """Read accounts from a JSON file: `[{"username": "jane", "password": "…", "email": "jane@example.com", "connections": "masked"}]`.

    `email` and `connections` are optional. A password in plain text is accepted with a warning in the log.

    Raises:
        BadArgument: the file cannot be read, other accounts of this machine can read or change it, or its content is invalid.
    """
    text = read_secret_file(Path(path), "accounts")
    try:
        entries = json.loads(text)
        if not isinstance(entries, list) or not entries:
            raise TypeError("it is not a list of accounts")
        accounts = tuple(_account(entry) for entry in entries)
        _warn_of_plain_text(accounts, path)
        return accounts
    except (ValueError, TypeError, RecursionError) as error:
        problem = f"{error}" if isinstance(error, TypeError) else "it is not JSON"
    # Raised outside of the handler, because the JSON parser's error holds the file's text.
    raise BadArgument(
        f"The accounts in {str(path)!r} cannot be used: {problem}.",
        hint='The file contains [{"username": "jane", "password": "secret", "email": "jane@example.com"}].',
        argument="accounts",
    )


def accounts_of_environment(environ: Mapping[str, str] = os.environ) -> tuple[Account, ...]:
    """Return the accounts of the file that `ORCHLITE_ACCOUNTS` names, else that of `ORCHLITE_USER` and `ORCHLITE_PASSWORD`, else none.

    Raises:
        BadArgument: the file is refused, or `ORCHLITE_USER` is set without `ORCHLITE_PASSWORD`.
    """
    if path := environ.get("ORCHLITE_ACCOUNTS"):
        return accounts_of_file(path)
    if not (username := environ.get("ORCHLITE_USER")):
        return ()
    if not (password := environ.get("ORCHLITE_PASSWORD")):
        raise BadArgument("ORCHLITE_USER is set, but ORCHLITE_PASSWORD is not.", hint="Set both.", argument="accounts")
    return (_account({"username": username, "password": password}),)


def _account(entry: Any) -> Account:
    if not isinstance(entry, dict) or not entry.keys() >= {"username", "password"} or not entry.keys() <= _FIELDS:
        raise TypeError("an account has the fields username, password and, optionally, email and connections, and no others")
    if not all(isinstance(value, str) and value for value in entry.values()):
        raise TypeError("a field of an account is not a string, or is empty")
    connections = entry.get("connections", "shown")
    if connections not in ("shown", "masked"):
        raise TypeError('the field connections of an account is neither "shown" nor "masked"')
    try:
        is_hash(entry["password"])
    except ValueError as error:
        raise TypeError(f"a password begins with scrypt$, but {error}") from None
    username = entry["username"]
    email = entry.get("email") or (username if "@" in username else f"{username}@localhost")
    return Account(username, email, str(uuid.uuid5(_ACCOUNT_IDS, username)), entry["password"], connections)


def _warn_of_plain_text(accounts: Iterable[Account], path: str | os.PathLike[str]) -> None:
    names = [account.username for account in accounts if account.password and not is_hash(account.password)]
    if names:
        _log.warning(
            "%s holds the passwords of %d accounts in plain text, first that of %.80r. `python -m orchlite.rest.passwords` makes the "
            "hash to put there instead.",
            path,
            len(names),
            names[0],
        )
