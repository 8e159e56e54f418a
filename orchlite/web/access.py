"""What the page asks its server about its users: who may log in, and whose a session is."""

from __future__ import annotations

from typing import Protocol


class Account(Protocol):
    """A user."""

    @property
    def username(self) -> str:
        """The name, unique on the server."""
        ...


class LogIn(Protocol):
    """The result of a log-in with a name and a password."""

    @property
    def account(self) -> Account | None:
        """Who has logged in; None if the name or the password was wrong, or it has to wait."""
        ...

    @property
    def wait_seconds(self) -> float:
        """After which to try again, if there were too many; else 0."""
        ...


class Access(Protocol):
    """The users of a server. Thread-safe."""

    @property
    def has_accounts(self) -> bool:
        """Whether users can log in with a name and a password."""
        ...

    @property
    def is_read_only(self) -> bool:
        """Whether the page refuses every action."""
        ...

    def log_in(self, username: str, password: str, address: str) -> LogIn:
        """Check a password, no faster than the server's throttle allows for this account and this client's address."""
        ...

    def user_of_token(self, token: str) -> str | None:
        """Return the user whom a bearer token of the REST API belongs to; None if it is invalid, or a run's."""
        ...

    def new_session(self, username: str) -> str:
        """Return a signed session for a user: characters that a cookie may have."""
        ...

    def user_of_session(self, session: str) -> str | None:
        """Return the user of a session; None if it was not issued here, has expired or has ended."""
        ...

    def end_session(self, session: str) -> None:
        """Make a session invalid."""
        ...
