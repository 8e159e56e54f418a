"""How long the body of a request may take to arrive, by its endpoint: pieces that trickle in, and one that never comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchlite.core.settings import Limits
from orchlite.rest.authentication import Guard
from orchlite.rest.body_rules import CONFIG_PATH, INFER_PATH, TOKEN_PATH, BodyRules, rules_for

_BUNDLE = "/v1/api/orchestration/upload"
_MODEL = "/v1/api/models/upload_and_convert"
_TOKEN = "a-token-of-tests"
_RULES = BodyRules(2**20, 2**20, 2**20)
_PIECE_SECONDS = 5.0


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose clock is moved by hand, besides going on."""

    ahead_seconds = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_seconds


def _pieces_passed_on(path: str, media_type: str, comes_after: int | None = None) -> int:
    """Send a body of one piece every five seconds, and nothing more after a number of them; return how many reach the application."""
    loop, seen = _Loop(), 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal seen
        while (await receive())["type"] == "http.request":
            seen += 1

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        loop.ahead_seconds += _PIECE_SECONDS
        if seen == comes_after:
            loop.ahead_seconds += 60
            for _ in range(10):
                await asyncio.sleep(0)
            raise AssertionError("the guard waits for longer")
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        raise AssertionError(f"the guard refuses the request: {message}")

    headers = {"host": "127.0.0.1", "authorization": f"Bearer {_TOKEN}", "content-type": media_type, "content-length": "4000"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    try:
        loop.run_until_complete(Guard(application, token=_TOKEN, rules=_RULES)(scope, receive, send))
    finally:
        loop.close()
    return seen


@pytest.mark.parametrize(
    ("path", "media_type", "seconds"),
    [
        pytest.param(TOKEN_PATH, "application/x-www-form-urlencoded", 10, id="log-in"),
        pytest.param(CONFIG_PATH, "application/json", 10, id="what comes before it"),
        pytest.param("/v1/api/task/list", "application/json", 60, id="a document"),
        pytest.param(INFER_PATH + "a/b", "application/json", 60, id="data"),
        pytest.param(_BUNDLE, "multipart/form-data", 3600, id="a bundle"),
        pytest.param(_MODEL, "multipart/form-data", 3600, id="a model"),
    ],
)
def test_a_body_that_trickles_in_is_cut_off_when_its_time_has_passed(path: str, media_type: str, seconds: int) -> None:
    assert _pieces_passed_on(path, media_type) == seconds / _PIECE_SECONDS


@pytest.mark.parametrize("path", [_BUNDLE, _MODEL])
def test_an_upload_that_pauses_for_a_minute_is_cut_off(path: str) -> None:
    assert _pieces_passed_on(path, "multipart/form-data", comes_after=3) == 3


@pytest.mark.parametrize("path", [TOKEN_PATH, CONFIG_PATH])
def test_what_comes_before_a_log_in_is_small(path: str) -> None:
    assert rules_for(Limits()).of(path).limit_bytes == 4096
