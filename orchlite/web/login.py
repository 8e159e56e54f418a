"""Logging in, by a key of `orchlite open` or by name and password, and logging out."""

from __future__ import annotations

import math
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from orchlite.web.access import Access
from orchlite.web.login_keys import VALID_SECONDS, LoginKeys
from orchlite.web.rendering import rendered
from orchlite.web.session import SESSION_KEY, delete_cookie, set_cookie
from orchlite.web.visit import Visit, action, address_of, local_path, see

_KEY_WRONG = "This key was used already, is older than ten minutes, or belongs to an earlier start of the server."
_PASSWORD_WRONG = "The name or the password is wrong."  # noqa: S105 - a message


def is_open(path: str) -> bool:
    """Return whether a path may be requested without a session."""
    return path in ("/login", "/login/keys") or path.startswith("/static/")


def asked_to_log_in(request: Request) -> Response:
    """Return the response to a request without a session: a page is shown after the log-in, anything else is refused."""
    if request.method not in ("GET", "HEAD"):
        return _form(request, 403, "Your log-in has ended. Nothing was changed.")
    if request.headers.get("sec-fetch-mode", "navigate") != "navigate":
        return Response(status_code=401)
    path = address_of(request)
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A link of another site: browsers leave out a cookie with SameSite=Strict, but send it with the next request, of a page of ours.
        return HTMLResponse(rendered("arrival.html", path=f"/login?{urlencode({'path': path})}"))
    return _form(request, 401, path=path)


async def _show(request: Request) -> Response:
    key, path = request.query_params.get("key", ""), request.query_params.get("path", "/")
    if request.scope[SESSION_KEY] is not None and not key:
        return see(local_path(path) or "/")
    return _form(request, key=key, path=path)


async def _log_in(request: Request) -> Response:
    async with request.form() as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    path = local_path(fields.get("path", "")) or "/"
    access: Access = request.app.state.access
    if key := fields.get("key"):
        keys: LoginKeys = request.app.state.login_keys
        username = keys.redeem(key)
        return _form(request, 403, _KEY_WRONG, path=path) if username is None else _logged_in(request, access, username, path)
    if not access.has_accounts:
        return _form(request, 403, "A key is required.", path=path)
    address = request.client.host if request.client else "unknown"
    result = await run_in_threadpool(access.log_in, fields.get("username", ""), fields.get("password", ""), address)
    if result.account is not None:
        return _logged_in(request, access, result.account.username, path)
    if result.wait_seconds == 0:
        return _form(request, 403, _PASSWORD_WRONG, path=path)
    seconds = math.ceil(result.wait_seconds)
    response = _form(request, 429, f"Too many log-ins; try again in {seconds} s.", path=path)
    response.headers["Retry-After"] = str(seconds)
    return response


def _logged_in(request: Request, access: Access, username: str, path: str) -> Response:
    response = see(path)
    set_cookie(request, response, access.new_session(username))
    return response


def _log_out(visit: Visit) -> Response:
    access: Access = visit.request.app.state.access
    access.end_session(visit.session.secret)
    response = see("/login")
    delete_cookie(visit.request, response)
    return response


async def _new_key(request: Request) -> Response:
    """Return {"key", "valid_seconds"} to someone with a bearer token: how `orchlite serve` and `orchlite open` get a key."""
    access: Access = request.app.state.access
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    username = access.user_of_token(token) if kind.lower() == "bearer" else None
    if username is None:
        return JSONResponse({"msg": "A valid token is required."}, 401, {"WWW-Authenticate": "Bearer"})
    return JSONResponse({"key": request.app.state.login_keys.new(username), "valid_seconds": VALID_SECONDS})


def _form(request: Request, status: int = 200, message: str = "", *, key: str = "", path: str = "/") -> Response:
    # A key is redeemed without a click only if the address was opened from outside the browser: another site's link must not log in.
    sends_itself = bool(key) and request.headers.get("sec-fetch-site") == "none"
    has_accounts = request.app.state.access.has_accounts
    content = rendered(
        "login.html",
        session=None,
        message=message,
        key=key,
        path=local_path(path) or "/",
        has_accounts=has_accounts,
        sends_itself=sends_itself,
    )
    return HTMLResponse(content, status)


ROUTES = [
    Route("/login", _show, methods=["GET"]),
    Route("/login", _log_in, methods=["POST"]),
    Route("/login/keys", _new_key, methods=["POST"]),
    action("/logout", _log_out, only_reads=True),
]
