"""A server for the REST API of one store: in a thread beside a program, or in the foreground until somebody says stop.

It owns a socket, a thread and the credentials file. What is answered is the application's work, and who is let in, the guard's.
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
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import uvicorn

from orchlite.core.arguments import checked_count, checked_flag, checked_path, checked_texts
from orchlite.core.errors import BadArgument, Conflict, DeviceFailed
from orchlite.engine import shutdown
from orchlite.rest.accounts import Account, Accounts, accounts_of_environment, accounts_of_file
from orchlite.rest.app import application
from orchlite.rest.credentials import FILE_NAME, settled_token

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from orchlite.client.client import Client
    from orchlite.rest.serializers import Compatibility

PORT = 8080
_HIGHEST_PORT = 65_535
_BACKLOG = 1024
_GRACE_SECONDS = 3
"""How long requests that are being answered have, once the server is to end."""
_JOIN_SECONDS = 10.0
_START_SECONDS = 30.0
_log = logging.getLogger(__name__)


class Server:
    """A server at work in a thread of its own. Use it as a context manager: leaving it ends the server, and not the client."""

    def __init__(self, app: ASGIApp, listening: socket.socket, token: str, credentials: Path) -> None:
        """Begin to answer what comes in at this socket, which is the server's from now on."""
        self._url = _url(listening)
        self._token = token
        self._credentials = credentials
        self._running = _Running(app)
        self._listening = listening
        self._thread = threading.Thread(target=self._run, name="orchlite-rest", daemon=True)
        self._thread.start()
        if not self._running.is_ready.wait(_START_SECONDS) or not self._running.started:
            self.close()
            raise DeviceFailed("The server did not start.", hint="The log of `uvicorn.error` says why.")

    @property
    def url(self) -> str:
        """Where this machine reaches it, `http://127.0.0.1:8080`; without a slash at the end."""
        return self._url

    @property
    def token(self) -> str:
        """What every request must bring, as `Authorization: Bearer TOKEN`. A secret."""
        return self._token

    def environment(self) -> dict[str, str]:
        """The environment variables by which the platform's SDK finds this server and logs in: `os.environ.update(...)`."""
        return {
            "WALLAROO_URL": self._url,
            "WALLAROO_AUTH_URL": self._url,  # the SDK of 2023 looks for users here
            "WALLAROO_SDK_AUTH_TYPE": "token",
            "WALLAROO_SDK_CREDENTIALS": str(self._credentials),
        }

    def close(self) -> None:
        """End the server; idempotent. Requests that are being answered have some seconds more; runs are left alone."""
        self._running.should_exit = True
        self._thread.join(_JOIN_SECONDS)
        self._listening.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Server({self._url!r})"

    def _run(self) -> None:
        try:
            self._running.run(sockets=[self._listening])
        except BaseException:
            _log.exception("the server %s has failed", self._url)
        finally:
            self._running.is_ready.set()


class _Running(uvicorn.Server):
    """uvicorn, which says when it is ready, and leaves the program's logging and signals alone."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                log_config=None,
                access_log=False,  # addresses may hold tokens
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
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
) -> Server:
    """Serve the client's store, in a thread, until the server is closed. The client stays the caller's to close, after the server.

    port: 0 has the system choose a free one.
    token, credentials: the token, and the file that holds it for clients, `credentials.json` in the store by default. Without a token
    it is the file's, and if there is no file, a new one.
    accounts: who may also log in with a name and a password: a JSON file of `{"username", "password", "email"}`, or what
    `accounts_of_file` answers. By default what the environment says in `ORCHLITE_ACCOUNTS` (a file), or in `ORCHLITE_USER` and
    `ORCHLITE_PASSWORD`, if anything.
    hosts: names under which the server is reached, besides those of this machine: requests that name another are refused.
    compatibility: see `application`.
    allow_remote: must be True where `host` is reached by other machines. The traffic is not encrypted, and whoever has the token can
    run any program here.

    Raises:
        BadArgument: an argument is refused.
        Conflict: something listens at this port already.
        DeviceFailed: the credentials file cannot be written, or the server does not start.
    """
    place = _checked_place(host, port, allow_remote=allow_remote)
    names = checked_texts(hosts, "hosts")
    path = client.path() / FILE_NAME if credentials is None else checked_path(credentials, "credentials")
    known = _accounts(accounts)
    listening = _listening(place)
    try:
        settled = settled_token(path, token)
        app = application(
            client,
            token=settled,
            hosts=names if place.is_loopback else (*names, place.named),
            compatibility=compatibility,
            # Who logged in stays so over a restart, as the token does.
            accounts=Accounts(known, secret=settled) if known else None,
        )
        return Server(app, listening, settled, path)
    except BaseException:
        listening.close()
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
    signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    announce: Callable[[Server], None] | None = None,
) -> None:
    """Serve the client's store, work for the whole of it and keep its schedules, until a signal arrives or the client is closed.

    Blocks; then server and client are closed, and runs go on under their runners. `announce` is called once, with the server, when
    it answers. The others are as for `serve`, and `signals` as for `Client.run_forever`.

    Raises:
        BadArgument, Conflict, DeviceFailed: as for `serve`, and as for `Client.run_forever`.
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
    )

    from orchlite.client.client import engine_of

    def close() -> None:
        server.close()  # first, so that nobody is answered by a client that is closed
        client.close(drain=False)

    with server:
        shutdown.run_until_signalled(engine_of(client), signals, close, None if announce is None else lambda: announce(server))


class _Place(NamedTuple):
    """Where to listen."""

    family: int
    address: tuple[str, int]
    named: str
    is_loopback: bool


def _checked_place(host: str, port: int, *, allow_remote: bool) -> _Place:
    if checked_count(port, "port", 0) > _HIGHEST_PORT:
        raise BadArgument(f"port is {port}.", hint=f"It takes 0 to {_HIGHEST_PORT}; 0 has the system choose.", argument="port")
    try:
        if not isinstance(host, str) or not host:
            raise ValueError("no host")
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, ValueError) as error:
        raise BadArgument(
            f"host is {host!r:.80}, which is no address of this machine.", hint='Try "127.0.0.1".', argument="host"
        ) from error
    ip = ipaddress.ip_address(address[0])
    if not ip.is_loopback and not checked_flag(allow_remote, "allow_remote"):
        raise BadArgument(
            f"host is {host!r:.80}, which other machines can reach.",
            hint="allow_remote=True says that this is meant: the traffic is not encrypted, and whoever has the token can run any program.",
            argument="host",
        )
    return _Place(family, (str(address[0]), port), f"[{ip}]" if ip.version == 6 and ":" in host else host, ip.is_loopback)


def _listening(place: _Place) -> socket.socket:
    # With the protocol named, asyncio sends without delay (TCP_NODELAY); else an answer would wait 40 ms for the client to acknowledge.
    listening = socket.socket(place.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. asyncio sets it only where the protocol is named, and without it an answer waits 40 ms for its body.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(place.address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"Something listens at port {place.address[1]} already.", hint="Choose another port; 0 finds a free one."
            ) from error
        raise BadArgument(
            f"Nothing can listen at {place.named} port {place.address[1]}: {error.strerror}.", hint='Try "127.0.0.1".', argument="host"
        ) from error
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    ip = ipaddress.ip_address(host)
    if ip.is_unspecified:  # every address of this machine, its own among them
        ip = ipaddress.ip_address("::1" if ip.version == 6 else "127.0.0.1")
    return f"http://[{ip}]:{port}" if ip.version == 6 else f"http://{ip}:{port}"


def _accounts(given: str | os.PathLike[str] | Iterable[Account] | None) -> tuple[Account, ...]:
    if given is None:
        return accounts_of_environment()
    if isinstance(given, str | os.PathLike):
        return accounts_of_file(checked_path(given, "accounts"))
    return tuple(given)
