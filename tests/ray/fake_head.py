"""A small HTTP server that behaves as the head of a Ray 2.60 cluster was observed to, without executing anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NODE = "e93c3ed6e5c2f6fb0ea8d0f58e9b2a4a3a1a0b0e7c4d5f6a7b8c9d0e"


class FakeHead:
    """What a head has, and what it was asked for."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token
        self.session = "session_2026-11-26_16-00-00_000000_1"
        self.version = "4"
        self.packages: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, bytes] = {}
        self.has_logs = True
        """Whether the node that has the logs responds."""
        self.log_breaks_after: int | None = None
        """How many bytes of a log are sent before the connection breaks."""
        self.stops = "at once"
        """When it stops jobs: `at once`, `later` than it says, or `not yet`, as when it has just accepted them."""
        self.failure: tuple[int, str] | None = None
        """What every request is responded to with, if anything."""
        self.requests: list[str] = []

    def add_job(self, job_id: str, status: str = "RUNNING", node: str | None = NODE, **fields: Any) -> None:
        """Let the head know a job, as if it had been submitted."""
        self.jobs[job_id] = {
            "type": "SUBMISSION",
            "submission_id": job_id,
            "status": status,
            "message": "Job is currently running.",
            "error_type": None,
            "start_time": 1790000000000,
            "end_time": None,
            "driver_node_id": node,
            "driver_exit_code": None,
            **fields,
        }
        self.logs.setdefault(job_id, b"")

    def counted(self, words: str) -> int:
        """Return how many requests had these words in their method and path."""
        return sum(words in request for request in self.requests)

    def respond(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        """Return a status and a body."""
        if self.failure is not None:
            return self.failure[0], self.failure[1].encode()
        if path == "/api/version":
            version = {"version": self.version, "ray_version": "2.60.0", "ray_commit": "{{RAY_COMMIT_SHA}}", "session_name": self.session}
            return 200, json.dumps(version).encode()
        if path.startswith("/api/packages/gcs/"):
            return self._package(method, path.rpartition("/")[2], body)
        if path == "/api/jobs/" and method == "POST":
            return self._submit(json.loads(body))
        if path == "/api/v0/logs/file":
            return self._log(query)
        job_id = path.removeprefix("/api/jobs/").removesuffix("/stop")
        if job_id not in self.jobs:
            return 404, f"Job {job_id} does not exist".encode()
        if path.endswith("/stop") and self.stops != "at once":
            return 200, json.dumps({"stopped": self.stops == "later"}).encode()
        if path.endswith("/stop"):
            self.jobs[job_id].update(status="STOPPED", message="Job was intentionally stopped.", end_time=1790000001000)
            return 200, b'{"stopped": true}'
        return 200, json.dumps(self.jobs[job_id]).encode()

    def _package(self, method: str, name: str, body: bytes) -> tuple[int, bytes]:
        if method == "PUT":
            self.packages[name] = body
        return (200, b"") if name in self.packages else (404, f"Package gcs://{name} does not exist".encode())

    def _submit(self, request: dict[str, Any]) -> tuple[int, bytes]:
        job_id = request["submission_id"]
        if job_id in self.jobs:
            error = f"ValueError: Job with submission_id {job_id} already exists. Please use a different submission_id."
            text = f"Traceback (most recent call last):\n  ...\nRuntimeError: Request failed with status code 400: Traceback:\n{error}\n."
            return 500, text.encode()
        self.add_job(job_id, "PENDING", None, message="Job has not started yet.", request=request)
        return 200, json.dumps({"job_id": job_id, "submission_id": job_id}).encode()

    def _log(self, query: dict[str, list[str]]) -> tuple[int, bytes]:
        name = query["filename"][0].removeprefix("job-driver-").removesuffix(".log")
        if not self.has_logs or query["node_id"] != [NODE] or name not in self.logs:
            return 500, b"No address found for the node"
        lines = self.logs[name].splitlines(keepends=True)
        count = int(query["lines"][0])
        return 200, b"".join(lines if count == -1 else lines[-count:])


class _Handler(BaseHTTPRequestHandler):
    head: FakeHead

    def _handle(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.head.requests.append(f"{self.command} {self.path}")
        status, content = self._checked(address.path, parse_qs(address.query), body)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", content.decode())
        if status == 200 and "/logs/" in address.path:
            self._stream(content)
            return
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, content: bytes) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = content[: self.head.log_breaks_after]
        chunks = [sent[start : start + 65536] for start in range(0, len(sent), 65536)]
        for chunk in [*chunks, *[b""] * (sent == content)]:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def _checked(self, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        if self.head.token is not None:
            given = self.headers.get("Authorization")
            if given is None:
                return 401, b"Unauthorized: Missing authentication token"
            if given != f"Bearer {self.head.token}":
                return 403, b"Forbidden: Invalid authentication token"
        return self.head.respond(self.command, path, query, body)

    do_GET = do_PUT = do_POST = _handle  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def serving(head: FakeHead, port: int = 0) -> Iterator[str]:
    """Serve it, and yield its URL."""
    handler = type("Handler", (_Handler,), {"head": head})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
