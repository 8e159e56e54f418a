"""The guard: host, origin, token, and the size and type of the body."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from orchlite.core.errors import BadArgument
from orchlite.rest.accounts import Account, Accounts
from orchlite.rest.authentication import Guard
from orchlite.rest.body_rules import BodyRules

_TOKEN = "a-token-of-tests"
_HERE = "http://127.0.0.1:8080"
_RULES = BodyRules(document_bytes=100, bundle_bytes=1000, model_bytes=2000, data_bytes=500)
_JANE = Account("jane", "jane@example.com", "00000000-0000-4000-8000-000000000001", "correct horse")


class Behind:
    """An application that records the requests that reach it."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.body = b""
        self.was_cut = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(dict(scope))
        more = True
        while more:
            message = await receive()
            self.was_cut = message["type"] == "http.disconnect"
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"let in"})


class Guarded:
    """A guard, the application behind it, and a client in front of it."""

    def __init__(self, **settings: Any) -> None:
        self.behind = Behind()
        self.guard = Guard(self.behind, **{"token": _TOKEN, "rules": _RULES, **settings})

    def ask(self, method: str = "GET", path: str = "/v1/api/x", base: str = _HERE, **more: Any) -> httpx.Response:
        """Send a request, with the token unless headers are given."""
        headers = more.pop("headers", {"Authorization": f"Bearer {_TOKEN}"})

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.guard), base_url=base) as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(send())

    def post(self, content: Any, content_type: str | None = "application/json", path: str = "/v1/api/x") -> httpx.Response:
        """Send a body, with the token."""
        headers = {"Authorization": f"Bearer {_TOKEN}", **({"Content-Type": content_type} if content_type else {})}
        return self.ask("POST", path, content=content, headers=headers)


async def _pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 10


class TestTheToken:
    @pytest.mark.parametrize("shown", [f"Bearer {_TOKEN}", f"bearer {_TOKEN}", _TOKEN], ids=["bearer", "lower case", "by itself"])
    def test_lets_a_request_through(self, shown: str) -> None:
        assert Guarded().ask(headers={"Authorization": shown}).text == "let in"

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Bearer {_TOKEN}x"},
            {"Authorization": f"Bearer {_TOKEN[:-1]}"},
            {"Authorization": f"Basic {_TOKEN}"},
            {"Authorization": b"Bearer \xff\xfe"},
            {"Authorization": "Bearer definitely_an_access_token"},
            {"Authorization": "definitely_a_bearer_token_str"},
            [("Authorization", f"Bearer {_TOKEN}"), ("Authorization", "Bearer wrong")],
            {"Cookie": f"token={_TOKEN}"},
        ],
        ids=["none", "empty", "no word", "wrong", "longer", "shorter", "basic", "no text", "test mode", "test mode, bare", "two", "cookie"],
    )
    def test_that_is_missing_or_wrong_always_gets_the_same_response(self, headers: Any) -> None:
        guarded = Guarded()
        refused, without = guarded.ask(headers=headers), guarded.ask(headers={})
        assert (refused.status_code, refused.content, refused.headers.raw) == (401, without.content, without.headers.raw)
        assert refused.json() | {"msg": "", "error": ""} == {"code": 401, "msg": "", "error": "", "kind": "Unauthorized", "details": {}}
        assert guarded.behind.seen == []

    def test_is_required_before_a_path_is_known_to_exist(self) -> None:
        assert Guarded().ask(path="/nowhere", headers={}).status_code == 401

    def test_in_the_address_lets_a_download_through_and_is_removed(self) -> None:
        guarded = Guarded()
        assert guarded.ask(path=f"/v1/api/orchestration/download?id=a%26b&token={_TOKEN}", headers={}).text == "let in"
        assert guarded.behind.seen[0]["query_string"] == b"id=a%26b"

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", f"/v1/api/config2?token={_TOKEN}"),
            ("GET", "/v1/api/orchestration/download?id=x&token=wrong"),
            ("GET", "/v1/api/orchestration/download?id=x"),
            ("POST", f"/v1/api/orchestration/download?token={_TOKEN}"),
            ("GET", f"/v1/api/orchestration/download/?token={_TOKEN}"),
        ],
        ids=["elsewhere", "wrong", "none", "other method", "other path"],
    )
    def test_in_the_address_lets_nothing_else_through(self, method: str, path: str) -> None:
        assert Guarded().ask(method, path, headers={}).status_code == 401

    def test_in_the_address_does_not_replace_a_wrong_one_in_the_header(self) -> None:
        path = f"/v1/api/orchestration/download?id=x&token={_TOKEN}"
        assert Guarded().ask(path=path, headers={"Authorization": "Bearer wrong"}).status_code == 401

    def test_is_not_needed_for_the_configuration(self) -> None:
        assert Guarded().ask(path="/v1/api/config", headers={}).text == "let in"
        assert Guarded().ask("POST", "/v1/api/config", headers={}).status_code == 401

    @pytest.mark.parametrize("token", ["", "two words", "ünsichtbar", "line\n", None, 7])
    def test_must_fit_into_a_header(self, token: Any) -> None:
        with pytest.raises(BadArgument, match="token"):
            Guarded(token=token)

    def test_of_an_account_lets_a_request_through_as_well(self) -> None:
        accounts = Accounts([_JANE])
        tokens = accounts.log_in("jane", "correct horse")
        assert tokens is not None
        assert Guarded(accounts=accounts).ask(headers={"Authorization": f"Bearer {tokens.access}"}).text == "let in"
        assert Guarded(accounts=accounts).ask(headers={"Authorization": f"Bearer {tokens.refresh}"}).status_code == 401

    def test_appears_in_no_log(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, logger="orchlite"):
            for path in (f"/v1/api/orchestration/download?token={_TOKEN}", f"/nowhere?token={_TOKEN}"):
                Guarded().ask(path=path)
        assert _TOKEN not in caplog.text


class TestTheHost:
    @pytest.mark.parametrize(
        "base", ["http://127.0.0.1:8080", "http://localhost:8080", "http://LOCALHOST:8080", "http://[::1]:8080", "http://localhost"]
    )
    def test_may_be_this_machine(self, base: str) -> None:
        assert Guarded().ask(base=base).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example:8080",
            "localhost.:8080",
            "127.0.0.1:9",
            "",
            "a b",
            "x@127.0.0.1:8080",
            "[::2]:8080",
        ],
    )
    def test_may_not_be_another(self, host: str) -> None:
        guarded = Guarded()
        refused = guarded.ask(headers={"Host": host, "Authorization": f"Bearer {_TOKEN}"})
        assert (refused.status_code, refused.json()["kind"], guarded.behind.seen) == (403, "ForeignHost", [])

    @pytest.mark.parametrize(
        ("host", "status"),
        [("box.example", 200), ("BOX.example:99", 200), ("[fe80::1]:8443", 200), ("[fe80::1]:8444", 403), ("other.example", 403)],
    )
    def test_may_be_a_configured_one(self, host: str, status: int) -> None:
        guarded = Guarded(hosts=["box.example", "[fe80::1]:8443"])
        assert guarded.ask(headers={"Host": host, "Authorization": f"Bearer {_TOKEN}"}).status_code == status

    @pytest.mark.parametrize("hosts", [["http://box.example"], ["*"], [""], [None], ["a/b"]], ids=repr)
    def test_that_is_configured_must_be_a_host_name(self, hosts: Any) -> None:
        with pytest.raises(BadArgument, match="hosts has"):
            Guarded(hosts=hosts)


class TestTheOrigin:
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "HEAD"])
    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "null", "http://localhost:3000", "file://", "https://127.0.0.1.evil.example:8080", ""]
    )
    def test_of_a_foreign_page_is_refused_on_every_method(self, method: str, origin: str) -> None:
        guarded = Guarded()
        refused = guarded.ask(method, headers={"Origin": origin, "Authorization": f"Bearer {_TOKEN}"})
        assert (refused.status_code, guarded.behind.seen) == (403, [])
        assert not [name for name in refused.headers if name.startswith("access-control")]

    def test_may_be_this_server(self) -> None:
        headers = {"Origin": _HERE, "Authorization": f"Bearer {_TOKEN}"}
        assert Guarded().ask(headers=headers).status_code == 200
        assert not [name for name in Guarded().ask(headers=headers).headers if name.startswith("access-control")]


class TestTheBody:
    @pytest.mark.parametrize(
        ("path", "content_type", "limit_bytes"),
        [
            ("/v1/api/x", "application/json", 100),
            ("/v1/api/orchestration/upload", "multipart/form-data; boundary=x", 1000),
            ("/v1/api/models/upload", "multipart/form-data; boundary=x", 2000),
            ("/v1/api/models/upload_and_convert", "multipart/form-data; boundary=x", 2000),
            ("/v1/api/pipelines/infer/first-1/first", "application/vnd.apache.arrow.file", 500),
            ("/v1/api/pipelines/infer/first-1/first", "application/json; format=pandas-records", 500),
        ],
        ids=["document", "bundle", "model", "model to convert", "table", "records"],
    )
    def test_may_be_as_large_as_the_limit_and_no_larger(self, path: str, content_type: str, limit_bytes: int) -> None:
        guarded = Guarded()
        assert guarded.post(b"x" * limit_bytes, content_type, path).status_code == 200
        refused = guarded.post(b"x" * (limit_bytes + 1), content_type, path)
        assert (refused.status_code, refused.json()["details"]) == (413, {"limit_bytes": limit_bytes})
        assert (len(guarded.behind.seen), len(guarded.behind.body)) == (1, limit_bytes)

    def test_without_a_length_is_counted_while_it_arrives(self) -> None:
        guarded = Guarded()
        assert guarded.post(_pieces(10)).status_code == 200
        refused = guarded.post(_pieces(11))
        assert (refused.status_code, refused.json()["kind"], guarded.behind.was_cut) == (413, "TooLarge", True)

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "application/jsonx", None]
    )
    def test_of_another_type_is_refused(self, content_type: str | None) -> None:
        guarded = Guarded()
        refused = guarded.post(b"{}", content_type)
        assert (refused.status_code, refused.json()["details"], guarded.behind.seen) == (415, {"expected": "application/json"}, [])

    @pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
    def test_of_the_right_type_is_let_through(self, content_type: str) -> None:
        assert Guarded().post(b"{}", content_type).status_code == 200

    def test_that_stalls_counts_as_cut_off(self) -> None:
        async def stalled() -> bool:
            guarded = Guarded(stall_seconds=0.01)
            headers = [
                (b"host", b"127.0.0.1"),
                (b"authorization", _TOKEN.encode()),
                (b"content-type", b"application/json"),
                (b"content-length", b"9"),
            ]
            scope = {"type": "http", "method": "POST", "path": "/v1/api/x", "query_string": b"", "headers": headers, "server": None}
            first = [{"type": "http.request", "body": b"{", "more_body": True}]

            async def receive() -> Any:
                return first.pop() if first else await asyncio.Event().wait()

            async def send(message: Any) -> None:
                pass

            await guarded.guard(scope, receive, send)
            return guarded.behind.was_cut

        assert asyncio.run(stalled())

    def test_a_web_socket_is_closed(self) -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        asyncio.run(Guarded().guard({"type": "websocket", "headers": []}, receive, send))
        assert sent == [{"type": "websocket.close", "code": 1008}]
