"""A server for the REST API of one store: in a thread of a program, or in the foreground until a signal arrives.

It owns a socket, a thread and the credentials file. Requests are the business of the application and its guard.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import uvicorn

from orchlite.client.client import engine_of
from orchlite.core.arguments import checked_count, checked_flag, checked_path, checked_texts
from orchlite.core.errors import BadArgument, Conflict, DeviceFailed
from orchlite.core.hints import Api, Argument
from orchlite.core.served_stores import Announcement, ServedStore
from orchlite.engine import shutdown
from orchlite.rest.accounts import Account, Accounts, accounts_of_environment, accounts_of_file
from orchlite.rest.app import guarded
from orchlite.rest.bounded_http import BoundedHttp, max_connections
from orchlite.rest.credentials import FILE_NAME, ensure_token
from orchlite.rest.page_access import MakePage

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from orchlite.client.client import Client
    from orchlite.rest.serializers import Compatibility

PORT = 8080
_MAX_PORT = 65_535
_GRACE_SECONDS = 3
"""How long open requests may take once the server is asked to stop."""
_JOIN_SECONDS = 10.0
_START_SECONDS = 30.0
_log = logging.getLogger(__name__)


class Server:
    """A running server, in a thread of its own. As a context manager it closes itself at the end, but not the client."""

    def __init__(self, app: ASGIApp, listener: socket.socket, token: str, credentials: Path, store: Path) -> None:
        """Start to serve the application on this socket, which then belongs to the server. Block until it accepts requests.

        The runs of the store in this folder find the server while it is running.

        Raises:
            DeviceFailed: it does not start within 30 seconds.
        """
        self._url = _url(listener)
        self._token = token
        self._credentials = credentials
        self._uvicorn = _Uvicorn(app)
        self._listener = listener
        self._announcement: Announcement | None = None
        self._thread = threading.Thread(target=self._run, name="orchlite-rest", daemon=True)
        self._thread.start()
        if not self._uvicorn.is_ready.wait(_START_SECONDS) or not self._uvicorn.started:
            self.close()
            raise DeviceFailed("The server did not start.", hint="The log of `uvicorn.error` says why.")
        with suppress(OSError):  # a store that cannot be written can still be read
            self._announcement = Announcement(store, ServedStore(self._url, str(credentials.absolute())))

    @property
    def url(self) -> str:
        """The address for clients on this machine: `http://127.0.0.1:8080`, without a slash at the end."""
        return self._url

    @property
    def token(self) -> str:
        """The token that every request must carry, as `Authorization: Bearer TOKEN`. A secret."""
        return self._token

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which the platform's SDK finds this server and logs in: `os.environ.update(...)`."""
        return {
            "WALLAROO_URL": self._url,
            "WALLAROO_AUTH_URL": self._url,  # where the SDK of 2023 looks up users
            "WALLAROO_SDK_AUTH_TYPE": "token",
            "WALLAROO_SDK_CREDENTIALS": str(self._credentials),
        }

    def close(self) -> None:
        """Stop the server; idempotent. Block until open requests have ended, for up to 10 seconds. Runs continue."""
        if self._announcement is not None:
            self._announcement.close()
        self._uvicorn.should_exit = True
        self._thread.join(_JOIN_SECONDS)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Server({self._url!r})"

    def _run(self) -> None:
        try:
            self._uvicorn.run(sockets=[self._listener])
        except BaseException:
            _log.exception("the server %s has failed", self._url)
        finally:
            self._uvicorn.is_ready.set()


class _Uvicorn(uvicorn.Server):
    """uvicorn that signals when it is ready, and leaves the program's logging and signals alone."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=BoundedHttp,
                ws="none",
                log_config=None,
                access_log=False,  # addresses may contain tokens
                proxy_headers=False,
                server_header=False,
                backlog=_backlog(),
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self.is_ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()


def serve(
    client: Client,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    credentials: str | os.PathLike[str] | None = None,
    accounts: str | os.PathLike[str] | Iterable[Account] | None = None,
    hosts: Iterable[str] = (),
    compatibility: Compatibility | None = None,
    allow_remote: bool = False,
    page: MakePage | None = None,
    read_only: bool = False,
) -> Server:
    """Serve the client's store in a thread until the server is closed. The caller closes the client, after the server.

    port: 0 chooses a free one.
    token, credentials: the token, of at least 16 characters, and the file that holds it for clients, by default `credentials.json` in
    the store. Without a token, the file's is used, and without a file, a new one.
    accounts: accounts that may also log in with a name and a password: a JSON file, as the manual's page on REST describes it, or what
    `accounts_of_file` returns. By default those of the environment: of the file that `ORCHLITE_ACCOUNTS` names, or `ORCHLITE_USER` with
    `ORCHLITE_PASSWORD`, if set.
    hosts: names under which the server is reached, besides those of the loopback interface. Requests to any other name are refused.
    compatibility: see `application`.
    allow_remote: must be True if other machines can reach `host`. The traffic is not encrypted, and anyone with the token can run any
    program here.
    page: `orchlite.web.page(client)` adds the page, at `/`.
    read_only: refuse what may change something, except by runs of this store. The page is, too.

    Raises:
        BadArgument: an argument is invalid.
        Conflict: the port is in use.
        DeviceFailed: the credentials file cannot be written, or the server does not start.
    """
    address = _checked_address(host, port, allow_remote=allow_remote)
    names = checked_texts(hosts, "hosts")
    path = client.path() / FILE_NAME if credentials is None else checked_path(credentials, "credentials")
    known = _accounts(accounts)
    listener = _listen(address)
    try:
        token = ensure_token(path, token)
        app = guarded(
            client,
            token=token,
            hosts=names if address.is_loopback else (*names, address.name),
            compatibility=compatibility,
            # Signed with the token, so that log-ins outlast a restart.
            accounts=Accounts(known, secret=token) if known else None,
            page=page,
            read_only=checked_flag(read_only, "read_only"),
        )
        return Server(app, listener, token, path, client.path())
    except BaseException:
        listener.close()
        raise


def serve_forever(
    client: Client,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    credentials: str | os.PathLike[str] | None = None,
    accounts: str | os.PathLike[str] | Iterable[Account] | None = None,
    hosts: Iterable[str] = (),
    compatibility: Compatibility | None = None,
    allow_remote: bool = False,
    page: MakePage | None = None,
    read_only: bool = False,
    signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    announce: Callable[[Server], None] | None = None,
) -> None:
    """Serve the client's store, run what is queued and due in it, and keep its schedules, until a signal arrives or the client is closed.

    Blocks, then closes the server and the client; runs continue under their runners. `announce` is called once, with the server, as
    soon as it accepts requests. `signals` are those of `Client.run_forever`, and the other arguments those of `serve`.

    Raises:
        BadArgument, Conflict, DeviceFailed: as for `serve` and `Client.run_forever`.
    """
    server = serve(
        client,
        host=host,
        port=port,
        token=token,
        credentials=credentials,
        accounts=accounts,
        hosts=hosts,
        compatibility=compatibility,
        allow_remote=allow_remote,
        page=page,
        read_only=read_only,
    )

    def close() -> None:
        server.close()  # first, so that no request meets a closed client
        client.close(drain=False)

    with server:
        shutdown.run_until_signalled(engine_of(client), signals, close, None if announce is None else lambda: announce(server))


class _Address(NamedTuple):
    """Where to listen."""

    family: int
    sockaddr: tuple[str, int]
    name: str
    is_loopback: bool


def _checked_address(host: str, port: int, *, allow_remote: bool) -> _Address:
    checked_count(port, "port", 0, _MAX_PORT)
    try:
        if not isinstance(host, str) or not host:
            raise ValueError("no host")
        family, _, _, _, sockaddr = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, ValueError) as error:
        raise BadArgument(
            Argument("host") + f" is {host!r:.80}, which is not an address of this machine.", hint='Try "127.0.0.1".', argument="host"
        ) from error
    ip = ipaddress.ip_address(sockaddr[0])
    if not ip.is_loopback and not checked_flag(allow_remote, "allow_remote"):
        raise BadArgument(
            Argument("host") + f" is {host!r:.80}, which other machines can reach.",
            hint=Api.ALLOW_REMOTE + " allows that: the traffic is not encrypted, and anyone with the token can run any program.",
            argument="host",
        )
    return _Address(family, (str(sockaddr[0]), port), f"[{ip}]" if ip.version == 6 and ":" in host else host, ip.is_loopback)


def _backlog() -> int:
    """Return how many connections may wait to be accepted. asyncio accepts all of them before it handles the first."""
    return max(1, max_connections() // 2)


def _listen(address: _Address) -> socket.socket:
    listener = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it; without it, Nagle's algorithm delays the body of a response by 40 ms. asyncio sets it only on sockets
        # whose protocol is named, as above.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address.sockaddr)
        listener.listen(_backlog())
    except OSError as error:
        listener.close()
        port = address.sockaddr[1]
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"Port {port} is in use.", hint="Choose another port; 0 chooses a free one.") from error
        raise BadArgument(
            f"The server cannot listen at {address.name} port {port}: {error.strerror}.", hint='Try "127.0.0.1".', argument="host"
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    ip = ipaddress.ip_address(host)
    if ip.is_unspecified:  # listens at every address, including those of the loopback interface
        ip = ipaddress.ip_address("::1" if ip.version == 6 else "127.0.0.1")
    return f"http://[{ip}]:{port}" if ip.version == 6 else f"http://{ip}:{port}"


def _accounts(accounts: str | os.PathLike[str] | Iterable[Account] | None) -> tuple[Account, ...]:
    if accounts is None:
        return accounts_of_environment()
    if isinstance(accounts, str | os.PathLike):
        return accounts_of_file(checked_path(accounts, "accounts"))
    return tuple(accounts)
