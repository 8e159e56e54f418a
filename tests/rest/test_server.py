"""The server at a real socket: start and end, the credentials file, and slow, disconnecting and hostile clients."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import orchlite
from orchlite.core.errors import BadArgument, Conflict, DeviceFailed
from orchlite.rest import Server, application, serve, serve_forever
from orchlite.rest.accounts import Account

_PATIENCE_SECONDS = 60.0


@pytest.fixture
def server(client: orchlite.Client) -> Iterator[Server]:
    with serve(client, port=0) as server:
        yield server


def _http(server: Server) -> httpx.Client:
    headers = {"Authorization": f"Bearer {server.token}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=_PATIENCE_SECONDS, trust_env=False, verify=False)


def _post(http: httpx.Client, path: str, status: int = 200, **fields: Any) -> Any:
    response = http.post(f"/v1/api/{path}", json=fields)
    assert response.status_code == status, response.text
    return response.json()


def _upload(http: httpx.Client, content: bytes) -> str:
    files: Any = {
        "file": ("bundle.zip", content, "application/octet-stream"),
        "metadata": (None, '{"workspace_id": 1}', "application/json"),
    }
    response = http.post("/v1/api/orchestration/upload", files=files)
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def _connected(server: Server) -> socket.socket:
    url = httpx.URL(server.url)
    return socket.create_connection((url.host, url.port or 0), timeout=_PATIENCE_SECONDS)


def _head(server: Server, *lines: str) -> bytes:
    """Return the head of an upload request, written by hand."""
    host = server.url.removeprefix("http://")
    own = (f"Host: {host}", f"Authorization: Bearer {server.token}", "Content-Type: multipart/form-data; boundary=b")
    return "\r\n".join(("POST /v1/api/orchestration/upload HTTP/1.1", *own, *lines, "", "")).encode()


_PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'


@pytest.fixture
def connection_limit() -> Iterator[int]:
    """How many connections the server accepts from now on: a quarter of the descriptors that this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(32, max(map(int, os.listdir("/proc/self/fd"))))  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestServing:
    def test_a_server_responds_until_it_is_closed_and_the_client_stays_open(self, client: orchlite.Client) -> None:
        with serve(client, port=0) as server, _http(server) as http:
            assert _post(http, "workspaces/list")["workspaces"][0]["name"] == "default"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/v1/api/config", trust_env=False)
        server.close()
        assert [workspace.name() for workspace in client.list_workspaces()] == ["default"]

    def test_a_connection_that_idles_gives_way_when_there_are_too_many(self, server: Server, connection_limit: int) -> None:
        with ExitStack() as opened:
            first, *_ = [opened.enter_context(_connected(server)) for _ in range(connection_limit + 1)]
            first.settimeout(10)
            with suppress(ConnectionResetError):
                assert first.recv(1) == b""
            with _http(server) as http:
                _post(http, "workspaces/list")

    def test_servers_of_one_store_share_a_token_also_after_a_restart(self, client: orchlite.Client) -> None:
        with serve(client, port=0) as first, serve(client, port=0) as second:
            assert first.url != second.url
        with serve(client, port=0) as third:
            assert {first.token, second.token} == {third.token}

    def test_a_port_in_use_is_a_conflict_and_leaves_nothing_behind(self, client: orchlite.Client, server: Server) -> None:
        taken = int(server.url.rpartition(":")[2])
        before = {thread.name for thread in threading.enumerate()}
        with pytest.raises(Conflict, match=str(taken)):
            serve(client, port=taken, credentials=client.path() / "other.json")
        assert {thread.name for thread in threading.enumerate()} == before
        assert not (client.path() / "other.json").exists()

    @pytest.mark.parametrize(
        ("settings", "argument"),
        [
            ({"host": "0.0.0.0"}, "host"),
            ({"host": "::"}, "host"),
            ({"host": "192.0.2.1"}, "host"),
            ({"host": "192.0.2.1", "allow_remote": True}, "host"),
            ({"host": ""}, "host"),
            ({"host": "no such host"}, "host"),
            ({"host": None}, "host"),
            ({"port": -1}, "port"),
            ({"port": 65_536}, "port"),
            ({"port": "8080"}, "port"),
            ({"token": "two words"}, "token"),
            ({"hosts": "one"}, "hosts"),
            ({"hosts": ["a/b"]}, "hosts"),
            ({"compatibility": "1999"}, "compatibility"),
            ({"accounts": "/nowhere/accounts.json"}, "accounts"),
            ({"allow_remote": "yes", "host": "0.0.0.0"}, "allow_remote"),
        ],
        ids=repr,
    )
    def test_an_invalid_argument_is_refused_by_name(self, client: orchlite.Client, settings: dict[str, Any], argument: str) -> None:
        with pytest.raises(BadArgument) as caught:
            serve(client, **{"port": 0, **settings})
        assert caught.value.details["argument"] == argument

    def test_other_machines_are_served_with_allow_remote(self, client: orchlite.Client) -> None:
        with serve(client, host="0.0.0.0", port=0, allow_remote=True, hosts=["box.example"]) as server, _http(server) as http:
            assert server.url.startswith("http://127.0.0.1:")
            assert _post(http, "workspaces/list")
            assert http.post("/v1/api/workspaces/list", json={}, headers={"Host": "box.example"}).status_code == 200
            assert http.post("/v1/api/workspaces/list", json={}, headers={"Host": "evil.example"}).status_code == 403

    def test_the_address_in_a_proxy_header_is_ignored(self, server: Server) -> None:
        with _http(server) as http:
            forwarded = {"X-Forwarded-Host": "127.0.0.1", "X-Forwarded-For": "127.0.0.1", "Host": "evil.example"}
            assert http.post("/v1/api/workspaces/list", json={}, headers=forwarded).status_code == 403

    def test_an_account_logs_in(self, client: orchlite.Client) -> None:
        jane = Account("jane", "jane@example.com", "00000000-0000-4000-8000-000000000001", "correct horse")
        with serve(client, port=0, accounts=[jane]) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
            fields = {"grant_type": "password", "username": "jane", "password": "correct horse"}
            tokens = http.post("/auth/realms/master/protocol/openid-connect/token", data=fields).json()
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            assert http.post("/v1/api/workspaces/list", json={}, headers=headers).status_code == 200

    def test_nothing_secret_is_logged_or_shown(self, client: orchlite.Client, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG), serve(client, port=0) as server:
            httpx.get(f"{server.url}/v1/api/config", trust_env=False)
            with _connected(server) as line:
                line.sendall(f"GET /v1/api/orchestration/download?id=x&token={server.token} HTTP/1.1\r\n".encode())
                line.sendall(f"Host: {server.url.removeprefix('http://')}\r\nConnection: close\r\n\r\n".encode())
                assert _read_all(line).startswith(b"HTTP/1.1 404")
            assert server.token not in caplog.text + repr(server)

    def test_logging_and_signals_of_the_program_are_left_alone(self, client: orchlite.Client) -> None:
        before = (
            signal.getsignal(signal.SIGTERM),
            signal.getsignal(signal.SIGINT),
            list(logging.root.handlers),
            logging.getLogger("uvicorn").handlers,
        )
        with serve(client, port=0):
            during = (
                signal.getsignal(signal.SIGTERM),
                signal.getsignal(signal.SIGINT),
                list(logging.root.handlers),
                logging.getLogger("uvicorn").handlers,
            )
        assert during == before


class TestTheCredentialsFile:
    def test_is_what_the_sdk_reads_and_only_this_account_can(self, client: orchlite.Client, server: Server) -> None:
        environment = server.environment()
        path = Path(environment["WALLAROO_SDK_CREDENTIALS"])
        assert environment == {
            "WALLAROO_URL": server.url,
            "WALLAROO_AUTH_URL": server.url,
            "WALLAROO_SDK_AUTH_TYPE": "token",
            "WALLAROO_SDK_CREDENTIALS": str(client.path() / "credentials.json"),
        }
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        found = json.loads(path.read_text())
        assert (found["token"], set(found)) == (server.token, {"token", "user_email", "user_id"})
        assert [entry.name for entry in path.parent.iterdir() if "credentials" in entry.name] == ["credentials.json"]

    def test_holds_the_token_that_was_given_and_keeps_it(self, client: orchlite.Client, tmp_path: Path) -> None:
        path = tmp_path / "mine.json"
        with serve(client, port=0, token="a-token-that-was-given", credentials=path) as server:
            assert (server.token, server.environment()["WALLAROO_SDK_CREDENTIALS"]) == ("a-token-that-was-given", str(path))
        with serve(client, port=0, credentials=path) as server:
            assert server.token == "a-token-that-was-given"
        path.unlink()
        with serve(client, port=0, credentials=path) as server:
            assert server.token != "a-token-that-was-given"

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"token": ""}', '{"token": 7}', '"token"', "[" * 10_000], ids=repr)
    def test_that_holds_no_token_is_refused_with_a_hint(self, client: orchlite.Client, tmp_path: Path, content: str) -> None:
        path = tmp_path / "mine.json"
        path.write_text(content)
        path.chmod(0o600)
        with pytest.raises(BadArgument, match="Remove it"):
            serve(client, port=0, credentials=path)
        assert path.read_text() == content

    def test_that_others_can_read_is_refused(self, client: orchlite.Client, tmp_path: Path) -> None:
        path = tmp_path / "mine.json"
        path.write_text('{"token": "known-to-all"}')
        path.chmod(0o644)
        with pytest.raises(BadArgument, match="chmod 600"):
            serve(client, port=0, credentials=path)

    def test_that_cannot_be_written_is_reported(self, client: orchlite.Client, tmp_path: Path) -> None:
        with pytest.raises(DeviceFailed, match=r"mine\.json"):
            serve(client, port=0, credentials=tmp_path / "nowhere" / "mine.json")


def _read_all(line: socket.socket) -> bytes:
    pieces = iter(lambda: line.recv(65_536), b"")
    return b"".join(pieces)


class TestSlowAndDisconnectingClients:
    """None of them leaves anything behind, so they share a store and a server."""

    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[orchlite.Client]:
        with orchlite.Client(tmp_path_factory.mktemp("slow clients") / "store", workers=1) as client:
            yield client

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, client: orchlite.Client) -> Iterator[Server]:
        with serve(client, port=0) as server:
            yield server

    def _uploads(self, client: orchlite.Client) -> list[str]:
        """List the files of bundles and unfinished uploads."""
        return sorted(path.name for path in (client.path() / "bundles").iterdir())

    @pytest.mark.parametrize("how", ["closed", "reset"])
    def test_half_an_upload_leaves_nothing(
        self, client: orchlite.Client, server: Server, how: str, eventually: Callable[..., None]
    ) -> None:
        with _connected(server) as line:
            line.sendall(_head(server, "Content-Length: 1000000") + _PART + b"x" * 300_000)
            eventually(lambda: self._uploads(client) != [])
            if how == "reset":
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        eventually(lambda: self._uploads(client) == [])
        with _http(server) as http:
            assert _post(http, "orchestration/list", workspace_id=1) == []

    def test_clients_that_send_a_byte_now_and_then_do_not_delay_others(self, client: orchlite.Client, server: Server) -> None:
        lines = [_connected(server) for _ in range(100)]
        try:
            for line in lines[:50]:
                line.sendall(_head(server, "Content-Length: 1000000") + _PART)
            for byte in _head(server)[:20]:
                for line in lines[50:]:
                    line.sendall(bytes([byte]))
            with _http(server) as http:
                assert len(_post(http, "workspaces/list")["workspaces"]) == 1
        finally:
            for line in lines:
                line.close()

    def test_a_client_that_reads_nothing_does_not_delay_others(self, server: Server) -> None:
        with _connected(server) as line, _http(server) as http:
            ask = (
                f"GET /openapi.json HTTP/1.1\r\nHost: {server.url.removeprefix('http://')}\r\nAuthorization: Bearer {server.token}\r\n\r\n"
            )
            line.sendall(ask.encode() * 50)
            assert len(_post(http, "workspaces/list")["workspaces"]) == 1

    @pytest.mark.parametrize(
        "lines", [("Content-Length: 99999999999",), ("Content-Length: 99999999999", "Expect: 100-continue")], ids=["sent", "with Expect"]
    )
    def test_a_body_that_is_too_large_is_refused_before_it_is_sent(
        self, client: orchlite.Client, server: Server, lines: tuple[str, ...]
    ) -> None:
        with _connected(server) as line:
            line.sendall(_head(server, *lines))
            assert line.recv(65_536).startswith(b"HTTP/1.1 413")
        assert self._uploads(client) == []

    @pytest.mark.parametrize(("token", "status"), [(None, b"413"), ("wrong", b"401")], ids=["too large", "wrong token"])
    def test_a_client_that_is_refused_while_it_sends_receives_the_reason(self, tmp_path: Path, token: str | None, status: bytes) -> None:
        with orchlite.Client(tmp_path / "small", limits=orchlite.Limits(upload_bytes=1000)) as small, serve(small, port=0) as server:
            with _connected(server) as line:
                head = _head(server, "Content-Length: 20000000")
                line.sendall(head.replace(server.token.encode(), token.encode()) if token else head)
                line.sendall(b"x" * 20_000_000)
                assert line.recv(65_536).startswith(b"HTTP/1.1 " + status)
            assert self._uploads(small) == []

    def test_a_body_without_a_length_is_counted(self, tmp_path: Path) -> None:
        with orchlite.Client(tmp_path / "small", limits=orchlite.Limits(upload_bytes=1000)) as small, serve(small, port=0) as server:
            pieces = (_PART if number == 0 else b"x" * 100_000 for number in range(40))
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            with _http(server) as http:
                assert http.post("/v1/api/orchestration/upload", content=pieces, headers=headers).status_code in (400, 413)
            assert self._uploads(small) == []

    def test_garbage_is_refused_and_the_server_continues(self, server: Server) -> None:
        for garbage in (
            b"\x16\x03\x01\x02\x00",
            b"GET\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"\0" * 100_000,
        ):
            with _connected(server) as line:
                line.sendall(garbage)
                line.shutdown(socket.SHUT_WR)
                assert not _read_all(line).startswith((b"HTTP/1.1 2", b"HTTP/1.1 5"))
        with _http(server) as http:
            assert len(_post(http, "workspaces/list")["workspaces"]) == 1


@pytest.mark.slow
def test_the_server_stops_although_a_client_has_not_finished(client: orchlite.Client) -> None:
    with serve(client, port=0) as server, _connected(server) as line:
        line.sendall(_head(server, "Content-Length: 1000000") + _PART)
        server.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "orchlite-rest"]
    assert list((client.path() / "bundles").iterdir()) == []


@pytest.mark.slow
def test_two_hundred_clients_poll_during_fifty_runs(server: Server, bundle: Callable[..., bytes]) -> None:
    stop = threading.Event()
    with _http(server) as http:
        orchestration_id = _upload(http, bundle("print('done')"))
        ids = [_post(http, "task/run_once", 201, orch_id=orchestration_id, workspace_id=1, json={"n": n})["id"] for n in range(50)]

        def poll(number: int) -> set[int]:
            task_id, seen = ids[number % len(ids)], set()
            with _http(server) as polling:
                while not stop.is_set():
                    stop.wait(1)  # as real clients do; besides, this process runs the server, too
                    response = polling.post("/v1/api/task/get_by_id", json={"id": task_id})
                    seen.add(response.status_code)
                    assert response.json()["id"] == task_id
                    assert response.json()["input_data"] == {"n": ids.index(task_id)}
            return seen

        def statuses(task_id: str) -> list[str]:
            return [run["status"] for run in _post(http, "task/list_task_runs", task_id=task_id)]

        with ThreadPoolExecutor(200) as pool:
            polls = [pool.submit(poll, number) for number in range(200)]
            try:
                while any(statuses(task_id) in ([], ["running"]) for task_id in ids):
                    stop.wait(0.2)
            finally:
                stop.set()
            assert [polled.result() for polled in polls] == [{200}] * 200
        assert [statuses(task_id) for task_id in ids] == [["success"]] * 50


_FOREVER = """
import gc, sys, orchlite
from orchlite.rest.server import serve_forever
serve_forever(orchlite.Client(sys.argv[1]), port=0, announce=lambda server: print(server.url, flush=True))
print("closed, frozen:", gc.get_freeze_count(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_in_the_foreground_it_serves_until_a_signal_arrives(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", _FOREVER, os.fspath(tmp_path / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        url = host.stdout.readline().strip()
        token = json.loads((tmp_path / "store" / "credentials.json").read_text())["token"]
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=_PATIENCE_SECONDS, trust_env=False) as http:
            _post(http, "workspaces/list")
        host.send_signal(number)
        assert host.stdout.read() == "closed, frozen: 0\n"  # the garbage collector is the caller's
    assert host.returncode == 0


def test_in_the_foreground_of_another_thread_it_is_refused_with_a_hint(client: orchlite.Client) -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(BadArgument, match="main thread"):
        pool.submit(serve_forever, client, port=0).result()
    assert not [thread for thread in threading.enumerate() if thread.name == "orchlite-rest"]


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition is true."""

    def wait(condition: Callable[[], object]) -> None:
        for _ in range(int(_PATIENCE_SECONDS / 0.02)):
            if condition():
                return
            threading.Event().wait(0.02)
        raise AssertionError("the condition did not become true")

    return wait


class TestTheLengthOfTheToken:
    @pytest.mark.parametrize("token", ["a", "x" * 15])
    def test_is_at_least_16_characters(self, client: orchlite.Client, tmp_path: Path, token: str) -> None:
        with pytest.raises(BadArgument, match="shorter than 16"):
            serve(client, port=0, token=token, credentials=tmp_path / "mine.json")
        with pytest.raises(BadArgument, match="shorter than 16"):
            application(client, token=token)
        assert not (tmp_path / "mine.json").exists()

    def test_of_a_file_that_exists_is_warned_of(self, client: orchlite.Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "mine.json"
        path.write_text('{"token": "short"}')
        path.chmod(0o600)
        with serve(client, port=0, credentials=path) as server:
            assert server.token == "short"
        assert ["fewer than 16" in record.getMessage() for record in caplog.records] == [True]
        assert "'short'" not in caplog.text
