"""Who is let in. `Guard` looks at every request before the application does; `router` has the log-in and the look-up of users.

The guard reads no file and no store. It knows one token, compared in constant time, and the accounts, if there are any.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from fastapi import APIRouter, Form, Response
from fastapi.responses import JSONResponse

from orchlite.core.errors import BadArgument, NotFound
from orchlite.core.settings import MEBIBYTE
from orchlite.rest.accounts import ACCESS_SECONDS, OWNER, REFRESH_SECONDS, Account, Accounts, Tokens
from orchlite.rest.allowed_hosts import OwnHosts
from orchlite.rest.body_limit import BoundedBody, refuse, too_large
from orchlite.rest.errors import refusal
from orchlite.rest.request_head import RequestHead

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from orchlite.client.client import Client

_TOKEN_PATH = "/auth/realms/master/protocol/openid-connect/token"  # noqa: S105 - a path
_USERS_PATH = "/auth/admin/realms/master/users"
_UPLOAD_PATH = "/v1/api/orchestration/upload"
_CONFIG_PATH = "/v1/api/config"

_BODY_TYPES = {_UPLOAD_PATH: "multipart/form-data", _TOKEN_PATH: "application/x-www-form-urlencoded"}
_BODILESS = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """ASGI middleware that lets through what comes from here, with a token, of a type and a size that are expected.

    It must be outermost. Whatever it refuses, nothing behind it has seen.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        hosts: Iterable[str] = (),
        limit_bytes: int,
        document_limit_bytes: int = 8 * MEBIBYTE,
        accounts: Accounts | None = None,
        stalled_seconds: float = 60.0,
    ) -> None:
        """Guard `app`.

        hosts: names under which the server may be addressed, besides those of the loopback interface.
        limit_bytes, document_limit_bytes: of the body of an upload, and of any other.
        accounts: whose tokens are taken besides `token`.
        stalled_seconds: a body of which nothing comes for so long is taken for cut off.

        Raises:
            BadArgument: the token cannot be sent in a header, or a host is none.
        """
        self._app = app
        self._token = _digest(checked_token(token))
        self._hosts = OwnHosts(hosts)
        self._limit_bytes = limit_bytes
        self._document_limit_bytes = document_limit_bytes
        self._accounts = accounts
        self._stalled_seconds = stalled_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # a web socket: nothing here speaks it
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = RequestHead(scope)
        refused = self._foreign(head) or self._unknown(head) or self._unfit(head)
        if refused is not None:
            await refuse(refused, scope, receive, send, drain=head.has_body)
            return
        body = BoundedBody(receive, send, self._limit_of(head), self._stalled_seconds)
        await body.hand_to(self._app, head.without_token())

    def _foreign(self, head: RequestHead) -> Response | None:
        """Refuse what a page of the web may have sent."""
        hosts, origins = head.values(b"host"), head.values(b"origin")
        if len(hosts) != 1 or not self._hosts.has(hosts[0], head.server_port):
            return refusal(403, "This server does not go by the name in the header Host. Add it with hosts=.", "ForeignHost")
        if not all(self._hosts.has_origin(origin, head.server_port) for origin in origins):
            return refusal(403, "Pages of another origin are not answered.", "ForeignOrigin")
        return None

    def _unknown(self, head: RequestHead) -> Response | None:
        """Refuse whoever has no token that is known. One answer for all, so that it tells nothing about why."""
        if self._is_open(head) or self._holder(head.token() or "") is not None:
            return None
        message = "A token that is known here is needed, in the header Authorization: Bearer TOKEN. The store's credentials.json holds it."
        answer = refusal(401, message, "Unauthorized")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    def _is_open(self, head: RequestHead) -> bool:
        """The two that ask before they can have a token: the SDK's client, which reads constants, and who logs in."""
        place = (head.method, head.path)
        return place == ("GET", _CONFIG_PATH) or (place == ("POST", _TOKEN_PATH) and self._accounts is not None)

    def _holder(self, token: str) -> Account | None:
        # Both ways are always gone: how long it takes tells nothing about which failed.
        is_owner = hmac.compare_digest(_digest(token), self._token)
        account = self._accounts.holder(token) if self._accounts else None
        return OWNER if is_owner else account

    def _unfit(self, head: RequestHead) -> Response | None:
        """Refuse a body by what is declared about it."""
        if not head.has_body:
            return None
        limit_bytes = self._limit_of(head)
        if head.declared_bytes > limit_bytes:
            return too_large(limit_bytes)
        wanted = _BODY_TYPES.get(head.path, "application/json")
        if head.body_type != wanted and head.method not in _BODILESS:
            return refusal(415, f"The body is of another type than expected. Send {wanted}.", "UnsupportedMediaType", {"expected": wanted})
        return None

    def _limit_of(self, head: RequestHead) -> int:
        return self._limit_bytes if head.path == _UPLOAD_PATH else self._document_limit_bytes


def router(accounts: Accounts | None, client: Client) -> APIRouter:
    """The look-up of users and, where there are accounts, the log-in, at the paths where the platform has them."""
    users = accounts or Accounts()
    routes = APIRouter(tags=["users"])

    def user(account: Account) -> User:
        created_at = client.get_workspace("default", create_if_not_exist=True).created_at()
        return User(account.user_id, account.username, account.email, True, int(created_at.timestamp() * 1000))

    @routes.get(_USERS_PATH + "/{user_id}")
    def user_by_id(user_id: str) -> dict[str, Any]:
        """The user with this id."""
        account = users.find(user_id)
        if account is None:
            raise NotFound(f"There is no user {user_id!r:.80}.", hint="Ids are in the tokens, as `sub`.", user_id=user_id)
        return user(account)._asdict()

    @routes.get(_USERS_PATH)
    def users_by_email(email: str) -> list[dict[str, Any]]:
        """The users with this address."""
        return [user(account)._asdict() for account in users.with_email(email)]

    if accounts is not None:
        routes.post(_TOKEN_PATH)(_log_in_of(accounts))
    return routes


class User(NamedTuple):
    """An account, as the platform's identity server shows one."""

    id: str
    username: str
    email: str
    enabled: bool
    createdTimestamp: int  # noqa: N815 - the wire's name


def _log_in_of(accounts: Accounts) -> Any:
    def log_in(
        grant_type: Annotated[str, Form()],
        username: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        refresh_token: Annotated[str, Form()] = "",
        client_id: Annotated[str, Form()] = "",
    ) -> Response:
        """Exchange a name and a password, or a refresh token, for tokens."""
        if grant_type == "password":
            return _granted(accounts.log_in(username, password), 401, "The name or the password is wrong.")
        if grant_type == "refresh_token":
            return _granted(accounts.refresh(refresh_token), 400, "The refresh token is wrong, or has expired.")
        return refusal(400, "The grants are: password, refresh_token.", "unsupported_grant_type")

    return log_in


def _granted(tokens: Tokens | None, status: int, otherwise: str) -> Response:
    """RFC 6749, 5.1 and 5.2."""
    if tokens is None:
        return refusal(status, otherwise, "invalid_grant")
    content = {
        "access_token": tokens.access,
        "expires_in": ACCESS_SECONDS,
        "refresh_token": tokens.refresh,
        "refresh_expires_in": REFRESH_SECONDS,
        "token_type": "Bearer",
    }
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def checked_token(token: object) -> str:
    """A token that a header can hold.

    Raises:
        BadArgument: it is none.
    """
    if not isinstance(token, str) or not token or not all("!" <= character <= "~" for character in token):
        raise BadArgument(
            "The token is empty, or has other characters than visible ASCII.",
            hint="Make one: secrets.token_urlsafe(32).",
            argument="token",
        )
    return token


def _digest(text: str) -> bytes:
    """Of equal length whatever the text, so that a comparison tells nothing about that, either."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
