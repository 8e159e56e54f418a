"""What the server's page may know about users: who logs in, and whose a session is. The page itself is a package of its own, `web`."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchlite.rest.accounts import OWNER, Accounts
from orchlite.rest.login import Checked, Logins

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_MOST_ENDED = 10_000


class PageAccess:
    """The users of one server, for its page. Thread-safe."""

    def __init__(self, accounts: Accounts, logins: Logins, token: str, *, has_accounts: bool, is_read_only: bool) -> None:
        """Know these accounts and, besides their tokens, the server's `token`, which is the owner's."""
        self._accounts = accounts
        self._logins = logins
        self._token = _digest(token)
        self._lock = threading.Lock()
        self._ended: dict[bytes, None] = {}
        self.has_accounts = has_accounts
        """Whether users can log in with a name and a password."""
        self.is_read_only = is_read_only
        """Whether the page refuses every action."""

    def log_in(self, username: str, password: str, address: str) -> Checked:
        """Check a log-in from an address, as the API's log-in does."""
        return self._logins.check(username, password, address)

    def user_of_token(self, token: str) -> str | None:
        """Return the name of the account that a bearer token belongs to; None if it is invalid, or a run's."""
        is_owner = hmac.compare_digest(_digest(token), self._token)
        account = self._accounts.authenticate(token)
        return OWNER.username if is_owner else account and account.username

    def new_session(self, username: str) -> str:
        """Return a new session of an account: a signed text, which a cookie can hold."""
        return self._accounts.new_session(username)

    def user_of_session(self, session: str) -> str | None:
        """Return the name of the account whose session this is; None if it is invalid, has expired or has ended."""
        account = self._accounts.of_session(session)
        with self._lock:
            return None if account is None or _digest(session) in self._ended else account.username

    def end_session(self, session: str) -> None:
        """Make a session invalid for this server, until that ends."""
        with self._lock:
            while len(self._ended) >= _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
            self._ended[_digest(session)] = None


MakePage = Callable[[PageAccess], "ASGIApp"]
"""Makes the page of a server: `orchlite.web.page(client)` returns one."""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
