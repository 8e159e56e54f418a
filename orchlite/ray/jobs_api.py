"""The REST API that the head of a Ray cluster serves: what orchlite needs of its Jobs service, and the end of a job's log.

Described after Ray 2.60: `ray/dashboard/modules/job`, `…/modules/log`. A method is one request; all may be called from any thread.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from orchlite.runs.cluster import ClusterRefused, ClusterUnreachable

_SECONDS = 10.0
_UPLOAD_SECONDS = 300.0
_LOG_SECONDS = 30
"""How long Ray sends a log at most, in one response; what has arrived by then is copied."""
_API_VERSION = "4"
PACKAGE_BYTES = 100 * 1024 * 1024
"""The head refuses larger requests."""
_EXPLANATION_BYTES = 64 * 1024
_WHAT_IS_NOT_FOUND, _NOT_FOUND = (b"Job ", b"Package "), b"does not exist"
"""What the head says of what it does not have; a proxy says something else."""
_LATER = {408, 425, 429}
"""HTTP statuses of clients that should try again."""
_REFUSED_BY_AGENT = b"Request failed with status code 400"
"""The head passes what its agent does not accept on as an error of its own."""
_PIECE_BYTES = 256 * 1024
_LINE_BYTES = 4 * 1024 * 1024
"""More than a line of a node has."""


class NoResponse(ClusterUnreachable):
    """Nothing at the address responds, or too late. Other requests would fare no better now."""


class JobInfo(NamedTuple):
    """What Ray knows of a job."""

    status: str
    """`PENDING`, `RUNNING`, `STOPPED`, `SUCCEEDED` or `FAILED`; the last three are final."""
    message: str
    error_type: str | None
    """Which part of Ray has failed; None unless the status is `FAILED`, and in some cases then."""
    node_id: str | None
    """Where the job is; None until just before its command is started."""
    ended_at: datetime | None
    """Aware, UTC."""

    @property
    def has_ended(self) -> bool:
        """Whether the status is final."""
        return self.status in {"STOPPED", "SUCCEEDED", "FAILED"}


class Submission(NamedTuple):
    """A job to create."""

    job_id: str
    command: str
    """For a shell."""
    working_package: str
    """The name of the package that is the command's working folder."""
    path_packages: tuple[str, ...]
    """The names of packages that are on the command's Python path."""
    resources: Mapping[str, float]


class JobsApi:
    """One cluster, by the URL of its head."""

    def __init__(self, url: str, token: str | None) -> None:
        """Open nothing yet. Redirections are not followed: the token would travel along."""
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._token = token
        self.slow_nodes: dict[str, float] = {}
        """Until which monotonic time the logs on a node are not asked for, by its id; kept by those who do."""
        self._is_head = False
        """Whether the head of a cluster has responded at the address. Then a page of something in between passes."""
        self._opener: OpenerDirector = build_opener(_Stay)

    def session(self) -> str:
        """Return the name of the cluster's life: a head that is started again has another."""
        found = self._object("/api/version")
        if found.get("version") != _API_VERSION:
            spoken = f"version {found.get('version')!r} of the Jobs API, orchlite speaks {_API_VERSION!r}"
            raise ClusterRefused(f"Ray at {self.url} speaks {spoken}.", hint="Use Ray 2.60, or a newer one with that version.")
        with self._readable():
            session = str(found["session_name"])
        self._is_head = True
        return session

    def has_package(self, name: str) -> bool:
        """Return whether the package is there; if so, the cluster keeps it for ten minutes more at least."""
        try:
            self._call_without_content("GET", f"/api/packages/gcs/{name}")
        except _NotFound:
            return False
        return True

    def upload_package(self, name: str, data: bytes) -> None:
        """Upload a ZIP."""
        if len(data) >= PACKAGE_BYTES:
            size = f"{len(data) / 1024**2:.0f} MiB"
            raise ClusterRefused(
                f"A package of {size} is too large for Ray, whose head accepts {PACKAGE_BYTES // 1024**2} MiB.",
                hint="Leave large files out of the bundle, and read them from where every node can reach them.",
            )
        self._call_without_content("PUT", f"/api/packages/gcs/{name}", data, seconds=_UPLOAD_SECONDS)

    def submit(self, job: Submission) -> None:
        """Create a job. The head responds to an id that it has with an error: `job` tells whether that is why."""
        resources = dict(job.resources)
        request: dict[str, Any] = {
            "entrypoint": job.command,
            "submission_id": job.job_id,
            "runtime_env": {
                "working_dir": f"gcs://{job.working_package}",
                "py_modules": [f"gcs://{name}" for name in job.path_packages],
            },
            "entrypoint_num_cpus": resources.pop("CPU", None),
            "entrypoint_num_gpus": resources.pop("GPU", None),
            "entrypoint_memory": int(resources.pop("memory", 0)) or None,
            "entrypoint_resources": resources or None,
        }
        self._call("POST", "/api/jobs/", json.dumps(request).encode())

    def job(self, job_id: str) -> JobInfo | None:
        """Return what is known of a job; None if there is none of that id."""
        try:
            found = self._object(f"/api/jobs/{quote(job_id)}")
        except _NotFound:
            return None
        ended = found.get("end_time")
        with self._readable():
            return JobInfo(
                status=str.upper(found["status"]),  # which must be a text
                message=str(found.get("message") or ""),
                error_type=_text(found.get("error_type")),
                node_id=_text(found.get("driver_node_id")),
                ended_at=datetime.fromtimestamp(ended / 1000, UTC) if ended else None,
            )

    def stop(self, job_id: str) -> bool:
        """Have Ray send SIGTERM to all processes of the job, and SIGKILL after 3 s.

        Return False if that was not passed on: there is no such job, it has ended, or Ray has accepted it and not yet prepared its start.
        """
        try:
            return self._object(f"/api/jobs/{quote(job_id)}/stop", "POST").get("stopped") is True
        except _NotFound:
            return False

    def log_tail(self, node_id: str, job_id: str, lines: int) -> Generator[bytes, None, None]:
        """Yield the last lines of a job's log, as they are on the node; all of them if `lines` is -1.

        The last one may be torn, and then lacks its newline. Ray's other way to read a log returns all of it each time, and decodes it.
        """
        query = urlencode({"node_id": node_id, "filename": f"job-driver-{job_id}.log", "lines": lines, "timeout": _LOG_SECONDS})
        try:
            response = self._open("GET", f"/api/v0/logs/file?{query}", None, _SECONDS)
        except _NotFound as error:
            raise ClusterUnreachable(f"Ray at {self.url} does not have the log: {error}") from error
        rest = b""
        with response:
            while data := self._piece(response):
                *whole, rest = (rest + data).split(b"\n")
                yield from (line + b"\n" for line in whole)
                if len(rest) > _LINE_BYTES:
                    rest = b"..."
        if rest:
            yield rest

    def _piece(self, response: HTTPResponse) -> bytes:
        with self._explained():
            return response.read(_PIECE_BYTES)  # `readline` would take a connection that breaks for the end

    def _object(self, path: str, method: str = "GET") -> dict[str, Any]:
        content = self._call(method, path)
        with self._readable():
            return dict(json.loads(content))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn errors about the content of a response in the block into one that says that it is none of a head."""
        try:
            yield
        except (LookupError, TypeError, ValueError, OverflowError, OSError, RecursionError) as error:
            raise self._no_head() from error

    def _no_head(self) -> ClusterUnreachable | ClusterRefused:
        kind = ClusterUnreachable if self._is_head else ClusterRefused
        return kind(
            f"What responds at {self.url} is not the head of a Ray cluster.",
            hint="Pass the address of its dashboard, by default http://<head>:8265.",
        )

    def _call_without_content(self, method: str, path: str, body: bytes | None = None, seconds: float = _SECONDS) -> None:
        if self._call(method, path, body, seconds):
            raise self._no_head()

    def _call(self, method: str, path: str, body: bytes | None = None, seconds: float = _SECONDS) -> bytes:
        with self._open(method, path, body, seconds) as response, self._explained():
            return response.read()

    def _open(self, method: str, path: str, body: bytes | None, seconds: float) -> HTTPResponse:
        # `RayJobs` has checked the scheme.
        headers = {**self._headers, **({"Content-Type": "application/json"} if method == "POST" else {})}
        request = Request(self.url + path, data=body, method=method, headers=headers)  # noqa: S310
        with self._explained():
            try:
                response: HTTPResponse = self._opener.open(request, timeout=seconds)
            except HTTPError as error:
                with error:
                    raise self._error(error, error.read(_EXPLANATION_BYTES)) from error
            return response

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of the network in the block into `NoResponse`."""
        try:
            yield
        except (URLError, HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise NoResponse(f"Ray at {self.url} does not respond: {str(reason) or type(reason).__name__}.") from error

    def _error(self, error: HTTPError, body: bytes) -> Exception:
        """Return what an HTTP status means."""
        text = last_line(body.decode("utf-8", "replace")) or "no explanation"
        if self._token:
            text = text.replace(self._token, "***")  # a proxy may repeat the request
        if error.code == 404:
            is_of_head = body.startswith(_WHAT_IS_NOT_FOUND) and _NOT_FOUND in body
            return _NotFound(text) if is_of_head else self._no_head()
        if error.code in (401, 403):
            return self._refusal(error.code)
        if 300 <= error.code < 400:
            target = error.headers.get("Location", "elsewhere").partition("?")[0]  # behind which the secrets of a login may be
            return ClusterRefused(f"{self.url} redirects to {target}.", hint="Pass the address of the cluster's head itself.")
        if (error.code < 500 and error.code not in _LATER) or _REFUSED_BY_AGENT in body:
            return ClusterRefused(f"Ray at {self.url} does not accept the request: HTTP {error.code}: {text}")
        return ClusterUnreachable(f"Ray at {self.url} reports an error: HTTP {error.code}: {text}")

    def _refusal(self, code: int) -> ClusterRefused:
        where = "Pass the token of the cluster as RayJobs(url, token=...), or set ORCHLITE_RAY_TOKEN for the command line"
        if code == 401 and not self._token:
            return ClusterRefused(f"Ray at {self.url} wants a token.", hint=f"{where}.")
        return ClusterRefused(f"Ray at {self.url} does not accept the token.", hint=f"{where}: the RAY_AUTH_TOKEN of its nodes.")


class _NotFound(ClusterRefused):
    """The head does not have what was asked for."""


class _Stay(HTTPRedirectHandler):
    """Follows no redirection."""

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str) -> Request | None:
        return None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def last_line(text: str) -> str:
    """Return the last line that says something, which of a traceback is the error."""
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line.strip(".")), "")[:1000]
