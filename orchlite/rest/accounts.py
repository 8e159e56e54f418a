"""Who may log in with a name and a password, and the tokens that they are given for it: signed, short-lived, renewable.

Tokens are JSON Web Tokens (RFC 7519) with HMAC-SHA256. Nothing is kept of them: whoever knows the secret can tell a true one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from orchlite.core.clock import Clock, SystemClock
from orchlite.core.errors import BadArgument
from orchlite.operations.execution import owner_id
from orchlite.rest.secret_files import read_secret_file

ACCESS_SECONDS = 15 * 60
REFRESH_SECONDS = 12 * 60 * 60

_Purpose = Literal["access", "refresh"]
_TOKEN_CHARACTERS = 4096
_HEADER = {"alg": "HS256", "typ": "JWT"}
_IDS = uuid.UUID("8d1f1d0c-5c0e-4d6a-9a54-6f3f0c2f7b1e")
"""The namespace of accounts' ids: the same name has the same id on every server."""


class Account(NamedTuple):
    """Somebody. All accounts may do the same; what tells them apart is a name."""

    username: str
    email: str
    user_id: str
    password: str | None
    """None: nobody can log in as this one."""

    def __repr__(self) -> str:
        return f"Account({self.username!r})"


OWNER = Account("orchlite", "orchlite@localhost", owner_id(), None)
"""The account whose store it is: whoever has the server's own token acts as this one, and everything in the store is shown as its."""


class Tokens(NamedTuple):
    """What a login is answered with."""

    access: str
    refresh: str


class Accounts:
    """The accounts that one server knows, and the tokens that it gives them."""

    def __init__(self, accounts: Iterable[Account] = (), *, secret: str | None = None, clock: Clock | None = None) -> None:
        """`secret` is what tokens are signed with: servers with the same one take each other's. By default one that dies with this object.

        Raises:
            BadArgument: two accounts have one name.
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

    def find(self, user_id: str) -> Account | None:
        """The account with this id."""
        return self._by_id.get(user_id)

    def with_email(self, email: str) -> list[Account]:
        """The accounts with this address."""
        return [account for account in self._by_id.values() if account.email == email]

    def log_in(self, username: str, password: str) -> Tokens | None:
        """Tokens for whoever knows the password; None tells nothing about what was wrong."""
        account = self._by_name.get(username)
        known = account.password if account else None
        # Compared even where there is nothing to compare with: how long this takes must not tell which names there are.
        is_right = hmac.compare_digest(_digest(password), _digest(known or ""))
        return self._tokens(account) if account and known is not None and is_right else None

    def refresh(self, refresh_token: str) -> Tokens | None:
        """New tokens for a refresh token that has not expired."""
        account = self._holder(refresh_token, "refresh")
        return None if account is None else self._tokens(account)

    def holder(self, access_token: str) -> Account | None:
        """Whose this is; None where it is not a token of ours, was changed, or has expired."""
        return self._holder(access_token, "access")

    def _tokens(self, account: Account) -> Tokens:
        return Tokens(self._token(account, "access", ACCESS_SECONDS), self._token(account, "refresh", REFRESH_SECONDS))

    def _token(self, account: Account, purpose: _Purpose, seconds: int) -> str:
        issued = int(self._clock.now().timestamp())
        # `jti` makes every one different, two of the same second as well.
        claims = {
            "sub": account.user_id,
            "email": account.email,
            "preferred_username": account.username,
            "typ": purpose,
            "iat": issued,
            "exp": issued + seconds,
            "jti": secrets.token_urlsafe(9),
        }
        signed = f"{_encoded(_HEADER)}.{_encoded(claims)}"
        return f"{signed}.{_base64(self._signature(account, signed))}"

    def _holder(self, token: str, purpose: _Purpose) -> Account | None:
        try:
            signed, claims, signature = _parts(token)
        except (ValueError, TypeError, RecursionError, binascii.Error):
            return None
        account = self._by_id.get(str(claims.get("sub")))
        if account is None or not hmac.compare_digest(self._signature(account, signed), signature):
            return None
        # Only now is there reason to believe what it says.
        is_current = self._clock.now() < datetime.fromtimestamp(claims["exp"], tz=self._clock.now().tzinfo)
        return account if claims["typ"] == purpose and is_current else None

    def _signature(self, account: Account, signed: str) -> bytes:
        # The password is in the key, so that a new one ends the tokens of the old.
        key = hmac.digest(self._secret, f"{account.user_id}\0{account.password}".encode(), "sha256")
        return hmac.digest(key, signed.encode(), "sha256")


def accounts_of_file(path: str | os.PathLike[str]) -> tuple[Account, ...]:
    """The accounts in a JSON file, `[{"username": "jane", "password": "…", "email": "jane@example.com"}]`; the address may be left out.

    Raises:
        BadArgument: the file cannot be read, other accounts of this machine can read it, or it says something else.
    """
    text = read_secret_file(Path(path), "accounts")
    try:
        entries = json.loads(text)
        if not isinstance(entries, list) or not entries:
            raise TypeError("it is no list of accounts")
        return tuple(_account(entry) for entry in entries)
    except (ValueError, TypeError, RecursionError) as error:
        problem = f"{error}" if isinstance(error, TypeError) else "it is no JSON"
    # Outside of the handler: the error of the JSON reader holds the file's text.
    raise BadArgument(
        f"The accounts in {str(path)!r} cannot be used: {problem}.",
        hint='It takes [{"username": "jane", "password": "secret", "email": "jane@example.com"}].',
        argument="accounts",
    )


def accounts_of_environment(environ: Mapping[str, str] = os.environ) -> tuple[Account, ...]:
    """The accounts of the file named by `ORCHLITE_ACCOUNTS`, else the one of `ORCHLITE_USER` and `ORCHLITE_PASSWORD`, else none.

    Raises:
        BadArgument: the file is refused, or there is a user without a password.
    """
    if path := environ.get("ORCHLITE_ACCOUNTS"):
        return accounts_of_file(path)
    if not (username := environ.get("ORCHLITE_USER")):
        return ()
    if not (password := environ.get("ORCHLITE_PASSWORD")):
        raise BadArgument("ORCHLITE_USER is set, and ORCHLITE_PASSWORD is not.", hint="Set both.", argument="accounts")
    return (_account({"username": username, "password": password}),)


def _account(entry: Any) -> Account:
    if not isinstance(entry, dict) or not entry.keys() >= {"username", "password"} or not entry.keys() <= {"username", "password", "email"}:
        raise TypeError("an account has other fields than username, password and email, or lacks one of the first two")
    if not all(isinstance(value, str) and value for value in entry.values()):
        raise TypeError("a field of an account is no text, or empty")
    username = entry["username"]
    email = entry.get("email") or (username if "@" in username else f"{username}@localhost")
    return Account(username, email, str(uuid.uuid5(_IDS, username)), entry["password"])


def _parts(token: str) -> tuple[str, dict[str, Any], bytes]:
    """What was signed, what it claims, and the signature; nothing of it is checked, save that this could be one of ours."""
    if len(token) > _TOKEN_CHARACTERS or not token.isascii():
        raise ValueError("no token of ours")
    header, payload, signature = token.split(".")
    claims = json.loads(_bytes(payload))
    if json.loads(_bytes(header)) != _HEADER or not isinstance(claims, dict):
        raise ValueError("no token of ours")
    return f"{header}.{payload}", claims, _bytes(signature)


def _encoded(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _digest(text: str) -> bytes:
    """Of equal length whatever the text, so that a comparison tells nothing about that, either."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
