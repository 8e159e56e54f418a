"""`Client.auth`: the account of a client. A store belongs to one account."""

from __future__ import annotations

from typing import NoReturn

from orchlite.core import owner

from ._absent import refuse


class Auth:
    """The account that everything in the store belongs to."""

    def user_id(self) -> str:
        """Return the account's id, a UUID."""
        return owner.owner_id()

    def user_email(self) -> str:
        """Return the account's address."""
        return owner.EMAIL

    def auth_header(self) -> NoReturn:
        """Refuse to return the headers of an authenticated request.

        Raises:
            NotImplementedError: always.
        """
        refuse("Client.auth.auth_header")
