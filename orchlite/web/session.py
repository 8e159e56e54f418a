"""The session of a browser: its cookie, and the token of its forms. Signing is the server's business (`access`).

Cookies do not know ports: each server of a host name has a cookie of its own name, or two of them would log each other's users out.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from orchlite.web.access import Access

SESSION_KEY = "orchlite.session"
"""Where the application puts the session into the scope of a request."""
TOKEN_FIELD = "form_token"  # noqa: S105 - the name of a field
"""The field of every form that changes something; a script may send the header `X-Form-Token` instead."""
SESSION_SECONDS = 7 * 24 * 3600
"""How long a log-in lasts. The server's sessions expire after this time; the cookie is dropped then."""


class Session(NamedTuple):
    """A log-in of a user in one browser. Its repr has no secret."""

    username: str
    secret: str

    @property
    def form_token(self) -> str:
        """What this session's forms carry. It reveals nothing about the session, and another site cannot know it."""
        return hmac.new(self.secret.encode(), b"orchlite: the token of forms", hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return f"Session({self.username!r})"


def session_of(request: Request, access: Access) -> Session | None:
    """Return the session whose cookie a request has; None if it has none, or an invalid one."""
    secret = request.cookies.get(_cookie_name(request))
    username = access.user_of_session(secret) if secret else None
    return None if secret is None or username is None else Session(username, secret)


def set_cookie(request: Request, response: Response, session: str) -> None:
    """Have the browser keep a session. No script sees the cookie, and no other site's request carries it."""
    response.set_cookie(
        _cookie_name(request),
        session,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.scope["scheme"] == "https",
    )


def delete_cookie(request: Request, response: Response) -> None:
    """Have the browser forget its session."""
    response.delete_cookie(_cookie_name(request), httponly=True, samesite="strict")


def _cookie_name(request: Request) -> str:
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"orchlite-{port if port.isascii() and port.isdigit() else request.scope['scheme']}"
