"""The host names and origins that belong to this server. Pure rules.

A web page can let its own name resolve to 127.0.0.1 and so reach a local server (DNS rebinding); `Host` then holds that page's name. A
page that does without this trick names itself in `Origin`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_NETLOC = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<netloc>[^/?#@]+)")
_DEFAULT_PORTS = {"http": 80, "https": 443}

_HostAndPort = tuple[str, int | None]


class AllowedHosts:
    """The names under which a server may be addressed: those of the loopback interface with its port, and further ones."""

    def __init__(self, hosts: Iterable[str]) -> None:
        """Allow `hosts`, too: a `name` with any port, a `name:port` with that port only.

        Raises:
            BadArgument: one of them is not a host name.
        """
        self._hosts = frozenset(_checked(host) for host in ([hosts] if isinstance(hosts, str) else hosts))

    def allows(self, netloc: str, server_port: int | None, scheme: str = "http") -> bool:
        """Return whether `name` or `name:port` belongs to this server. The default port is that of the scheme."""
        found = _parsed(netloc)
        if found is None:
            return False
        name, port = found[0], found[1] or _DEFAULT_PORTS[scheme]
        if not self._hosts.isdisjoint({(name, None), (name, port)}):
            return True
        return name in _LOOPBACK and server_port in (None, port)

    def allows_origin(self, origin: str, server_port: int | None) -> bool:
        """Return whether pages of this origin belong to this server. `null`, the origin of sandboxed pages and files, never does."""
        found = _ORIGIN.fullmatch(origin)
        return found is not None and self.allows(found["netloc"], server_port, found["scheme"])


def _checked(host: object) -> _HostAndPort:
    parsed = _parsed(host) if isinstance(host, str) else None
    if parsed is None:
        raise BadArgument(
            Argument("hosts") + f" has {host!r:.80}, which is not a host name.",
            hint='Use "box.example.com" or "box:8080".',
            argument="hosts",
        )
    return parsed


def _parsed(netloc: str) -> _HostAndPort | None:
    found = _NETLOC.fullmatch(netloc)
    return None if found is None else (found["name"].lower(), int(found["port"]) if found["port"] else None)
