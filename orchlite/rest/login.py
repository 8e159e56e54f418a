"""Logging in with a password: who may, how often, and the endpoint that exchanges a password, or a refresh token, for tokens."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Annotated, NamedTuple

from fastapi import Form, Request, Response
from fastapi.responses import JSONResponse

from orchlite.rest.accounts import ACCESS_SECONDS, REFRESH_SECONDS, Account, Accounts, Tokens
from orchlite.rest.errors import error_response
from orchlite.rest.login_throttle import LoginThrottle

_WAITING = 4
"""How many log-ins may wait for the one whose password is being checked; each occupies a thread of the server."""
_log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """The result of a log-in."""

    account: Account | None
    """None if the name or the password was wrong, or it has to wait."""
    wait_seconds: float = 0.0
    """After which to try again, if there were too many."""


class Logins:
    """Checks passwords, one at a time and not faster than the throttle allows, and logs each failure. Thread-safe."""

    def __init__(self, accounts: Accounts, throttle: LoginThrottle | None = None) -> None:
        """Check the passwords of these accounts."""
        self._accounts = accounts
        self._throttle = throttle or LoginThrottle()
        # A check takes a core and 16 MiB for a fifth of a second.
        self._checking = threading.Lock()
        self._places = threading.BoundedSemaphore(1 + _WAITING)

    def check(self, username: str, password: str, address: str) -> Checked:
        """Check a log-in from an address. Block for a fifth of a second, and until earlier ones have been checked."""
        if not self._places.acquire(blocking=False):
            return Checked(None, 1.0)
        try:
            with self._checking:
                return self._checked(username, password, address)
        finally:
            self._places.release()

    def _checked(self, username: str, password: str, address: str) -> Checked:
        if (wait_seconds := self._throttle.begin(username, address)) > 0:
            return Checked(None, wait_seconds)
        account = self._accounts.check_password(username, password)
        if account is None:
            failures = self._throttle.failures(username)
            _log.warning("log-in as %.80r from %s failed: wrong name or password (%d in a row)", username, address, failures)
        else:
            self._throttle.succeeded(username, address)
        return Checked(account)


def endpoint(accounts: Accounts, logins: Logins | None = None) -> Callable[..., Response]:
    """Return the endpoint for the accounts."""
    logins = logins or Logins(accounts)

    def log_in(
        request: Request,
        grant_type: Annotated[str, Form()],
        username: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        refresh_token: Annotated[str, Form()] = "",
        client_id: Annotated[str, Form()] = "",
    ) -> Response:
        """Exchange a name and a password, or a refresh token, for tokens."""
        if grant_type == "password":
            checked = logins.check(username, password, request.client.host if request.client else "unknown")
            if checked.wait_seconds > 0:
                return _too_many(checked.wait_seconds)
            return _token_response(checked.account and accounts.tokens(checked.account), 401, "The name or the password is wrong.")
        if grant_type == "refresh_token":
            return _token_response(accounts.refresh(refresh_token), 400, "The refresh token is wrong, or has expired.")
        return _refusal(400, "The supported grants are password and refresh_token.", "unsupported_grant_type")

    return log_in


def _too_many(wait_seconds: float) -> Response:
    seconds = math.ceil(wait_seconds)
    message = f"Too many log-ins; try again in {seconds} s."
    response = error_response(429, message, "TooManyRequests", {"retry_after_seconds": seconds})
    response.headers["Retry-After"] = str(seconds)
    return response


def _refusal(status: int, message: str, code: str) -> Response:
    """Return an error response with a code of RFC 6749, 5.2."""
    return error_response(status, message, code, error=code)


def _token_response(tokens: Tokens | None, error_status: int, error_message: str) -> Response:
    """Return the response of RFC 6749, 5.1, or a refusal."""
    if tokens is None:
        return _refusal(error_status, error_message, "invalid_grant")
    content = {
        "access_token": tokens.access,
        "expires_in": ACCESS_SECONDS,
        "refresh_token": tokens.refresh,
        "refresh_expires_in": REFRESH_SECONDS,
        "token_type": "Bearer",
    }
    return JSONResponse(content, headers={"Cache-Control": "no-store"})
