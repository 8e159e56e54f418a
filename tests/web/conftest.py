"""The page without a socket: a browser of a few lines, whose requests are passed to the ASGI application directly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from html import unescape
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import orchlite
from orchlite.rest import application
from orchlite.testing import ManualClock, StubProcess
from orchlite.web import page

TOKEN = "the-token-of-tests"
ORIGIN = "http://127.0.0.1:8080"


class Http:
    """An HTTP client that keeps cookies and follows no redirect, in front of an ASGI application."""

    def __init__(self, portal: BlockingPortal, app: Any) -> None:
        self._portal = portal
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # they are shown as pages
        self._client = httpx.AsyncClient(transport=transport, base_url=ORIGIN, trust_env=False)

    @property
    def cookies(self) -> httpx.Cookies:
        """The cookies that it keeps."""
        return self._client.cookies

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request."""
        response: httpx.Response = self._portal.call(partial(self._client.request, method, path, **more))
        return response

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Get something."""
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """Post something, as a page of this server does."""
        return self.request("POST", path, headers={"Origin": ORIGIN, **more.pop("headers", {})}, **more)


class Browser:
    """Someone who looks at the page of a client's store."""

    def __init__(self, portal: BlockingPortal, client: orchlite.Client, *, token: str = TOKEN, **settings: Any) -> None:
        self.http = Http(portal, application(client, token=token, page=page(client), **settings))

    def key(self) -> str:
        """Make a key, as `orchlite open` does."""
        response = self.http.post("/login/keys", headers={"Authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 200, response.text
        return str(response.json()["key"])

    def log_in(self) -> Browser:
        """Log in with a key."""
        response = self.http.post("/login", data={"key": self.key()})
        assert response.status_code == 303, response.text
        return self

    def get(self, path: str, status: int = 200, **headers: str) -> str:
        """Return the HTML of a page, which must have this status."""
        response = self.http.get(path, headers=headers)
        assert response.status_code == status, response.text
        return response.text

    def form_token(self) -> str:
        """Return the token that this session's forms carry."""
        found = re.search(r'name="form_token" value="(\w+)"', self.get("/"))
        assert found is not None
        return found[1]

    def post(self, path: str, status: int = 303, /, **fields: Any) -> httpx.Response:
        """Send a form, with the session's token; the response must have this status."""
        fields.setdefault("form_token", self.form_token())
        response = self.http.post(path, data=fields)
        assert response.status_code == status, response.text
        return response


def text_of(html: str) -> str:
    """Return what a reader sees of a page: its text on one line, without scripts and styles."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def store(clock: ManualClock, temporary_client: Callable[..., orchlite.Client]) -> Iterator[orchlite.Client]:
    """A client on the manual clock, with simulated runs that succeed after 90 seconds."""
    client = temporary_client(clock=clock, process=StubProcess("success", 90))
    yield client
    client.close()


@pytest.fixture
def browser(store: orchlite.Client, portal: BlockingPortal) -> Browser:
    """Someone who has logged in to the page of `store`."""
    return Browser(portal, store).log_in()


@pytest.fixture
def browser_of(portal: BlockingPortal) -> Callable[..., Browser]:
    """Make someone who looks at a client's page: `browser_of(client, read_only=True)`; not logged in."""
    return partial(Browser, portal)


@pytest.fixture
def seen() -> Callable[[str], str]:
    """Return what a reader sees of a page."""
    return text_of
