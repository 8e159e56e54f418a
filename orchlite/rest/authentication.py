"""Access to the server: `Guard` checks every request before the application sees it; `router` has the log-in.

The guard reads no file, and the store only for the token of a run. It knows one token, compared in constant time, and the accounts, if
there are any.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from orchlite.core.errors import BadArgument
from orchlite.core.hints import PythonOnly
from orchlite.rest import absent, login
from orchlite.rest.accounts import ACCOUNT_KEY, OWNER, Account, Accounts
from orchlite.rest.allowed_hosts import AllowedHosts
from orchlite.rest.body_limit import LimitedBody, send_and_close, too_large
from orchlite.rest.body_rules import CONFIG_PATH, JSON, TOKEN_PATH, BodyRules, is_of_page
from orchlite.rest.errors import error_response
from orchlite.rest.reading import only_reads
from orchlite.rest.request_head import RequestHead

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from orchlite.rest.run_tokens import RunTokens


MIN_TOKEN_CHARACTERS = 16
_MAKE_ONE = PythonOnly("Make one: secrets.token_urlsafe(32).")
_JSON_HEADER = (b"content-type", JSON.encode())
_BODILESS_METHODS = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """ASGI middleware that passes on requests with a token, from a page and to a host of this server, and with an acceptable body.

    It must be the outermost middleware: nothing behind it sees a request that it refuses.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        hosts: Iterable[str] = (),
        rules: BodyRules,
        accounts: Accounts | None = None,
        runs: RunTokens | None = None,
        page: ASGIApp | None = None,
        read_only: bool = False,
        stall_seconds: float = 60.0,
    ) -> None:
        """Guard `app`.

        hosts: names under which the server may be addressed, besides those of the loopback interface.
        rules: what bodies may be.
        accounts, runs: whose tokens are accepted besides `token`.
        page: receives the requests that are for no endpoint. It has log-ins of its own, so these need no token.
        read_only: refuse what may change something, except by a run of this store, which could do it without the server. The page refuses
            that itself.
        stall_seconds: how long a request's body may pause; also how long the body of a request that is not an upload may take in all.
            After that it counts as cut off.

        Raises:
            BadArgument: the token cannot be sent in a header, or a host is not a host name.
        """
        self._app = app
        self._token = _digest(sendable_token(token))
        self._hosts = AllowedHosts(hosts)
        self._rules = rules
        self._accounts = accounts
        self._runs = runs
        self._page = page
        self._is_read_only = read_only
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # there are no WebSocket endpoints
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = RequestHead(scope)
        if self._page is not None and is_of_page(head.path):
            await self._pass(self._page, self._check_source(head) or self._check_body(head), head, scope, receive, send)
            return
        account = self._account(head.token() or "")
        refusal = self._check_source(head) or self._check_account(head, account)
        refusal = refusal or absent.refusal_of_request(head.method, head.path) or self._check_change(head) or self._check_body(head)
        headers = [*scope["headers"], *([_JSON_HEADER] if head.has_body and head.body_type == "" else [])]
        known = {**head.scope_without_token(), "headers": headers, ACCOUNT_KEY: account}
        await self._pass(self._app, refusal, head, known, receive, send)

    async def _pass(self, app: ASGIApp, refusal: Response | None, head: RequestHead, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a refusal, or else pass the request on, with a limited body."""
        if refusal is not None:
            await send_and_close(refusal, scope, receive, send, drain=head.has_body)
            return
        rule = self._rules.of(head.path)
        body = LimitedBody(receive, send, rule.limit_bytes, self._stall_seconds, rule.total_seconds or self._stall_seconds)
        await body.run(app, scope)

    def _check_source(self, head: RequestHead) -> Response | None:
        """Refuse what a foreign web page may have sent."""
        hosts, origins = head.values(b"host"), head.values(b"origin")
        if len(hosts) != 1 or not self._hosts.allows(hosts[0], head.server_port):
            return error_response(403, "The name in the header Host is not one of this server's. Add it with hosts=.", "ForeignHost")
        if not all(self._hosts.allows_origin(origin, head.server_port) for origin in origins):
            return error_response(403, "Requests from pages of another origin are refused.", "ForeignOrigin")
        return None

    def _check_account(self, head: RequestHead, account: Account | None) -> Response | None:
        """Refuse a request without a valid token. The response is always the same, so that it does not reveal the reason."""
        if self._is_open(head) or account is not None:
            return None
        message = "A valid token is required, in the header Authorization: Bearer TOKEN. The store's credentials.json holds it."
        response = error_response(401, message, "Unauthorized")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _is_open(self, head: RequestHead) -> bool:
        """Return whether a request needs no token: the SDK reads the configuration, and users log in, before they have one."""
        endpoint = (head.method, head.path)
        return endpoint == ("GET", CONFIG_PATH) or (endpoint == ("POST", TOKEN_PATH) and self._accounts is not None)

    def _account(self, token: str) -> Account | None:
        # All are always checked: the time taken must not reveal which of them failed.
        is_owner = hmac.compare_digest(_digest(token), self._token)
        account = self._accounts.authenticate(token) if self._accounts else None
        if account is None and self._runs is not None:
            account = self._runs.authenticate(token)
        return OWNER if is_owner else account

    def _check_change(self, head: RequestHead) -> Response | None:
        """Refuse what a read-only server does not do."""
        if not self._is_read_only or only_reads(head.method, head.path) or self._is_run(head.token() or ""):
            return None
        return error_response(403, "This server is read-only: it was started with --read-only.", "ReadOnly")

    def _is_run(self, token: str) -> bool:
        return self._runs is not None and self._runs.authenticate(token) is not None

    def _check_body(self, head: RequestHead) -> Response | None:
        """Refuse a body for what the headers say about it."""
        if not head.has_body:
            return None
        rule = self._rules.of(head.path)
        if head.declared_bytes > rule.limit_bytes:
            return too_large(rule.limit_bytes)
        if head.body_type not in rule.media_types and head.method not in _BODILESS_METHODS:
            expected = " or ".join(filter(None, rule.media_types))
            message = f"The body has the wrong media type. Send {expected}."
            return error_response(415, message, "UnsupportedMediaType", {"expected": expected})
        return None


def router(accounts: Accounts, logins: login.Logins) -> APIRouter:
    """Return the endpoint for logging in, at the platform's path."""
    routes = APIRouter(tags=["users"])
    routes.post(TOKEN_PATH)(login.endpoint(accounts, logins))
    return routes


def checked_token(token: object) -> str:
    """Return the token if a header can hold it and it cannot be guessed.

    Raises:
        BadArgument: it is not a string, is shorter than 16 characters, or has other characters than visible ASCII.
    """
    if len(sendable_token(token)) < MIN_TOKEN_CHARACTERS:
        raise BadArgument(
            f"The token is shorter than {MIN_TOKEN_CHARACTERS} characters, and could be guessed.", hint=_MAKE_ONE, argument="token"
        )
    return str(token)


def sendable_token(token: object) -> str:
    """Return the token if a header can hold it.

    Raises:
        BadArgument: it is empty, not a string, or has other characters than visible ASCII.
    """
    if not isinstance(token, str) or not token or not all("!" <= character <= "~" for character in token):
        raise BadArgument(
            "The token is empty, or has characters other than visible ASCII.",
            hint=_MAKE_ONE,
            argument="token",
        )
    return token


def _digest(text: str) -> bytes:
    """Hash a text to a fixed length, so that comparing it does not reveal how long it is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
