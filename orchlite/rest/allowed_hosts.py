"""Which names of a host, and which origins of a page, are this server's own. Pure rules.

A page of the web can have its name resolve to 127.0.0.1 and so reach a local server (DNS rebinding); then the name in `Host` is that
page's. And a page that does without such tricks says in `Origin` where it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchlite.core.errors import BadArgument

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_NETLOC = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<netloc>[^/?#@]+)")
_DEFAULT_PORTS = {"http": 80, "https": 443}

_Place = tuple[str, int | None]


class OwnHosts:
    """The names under which a server may be addressed: those of the loopback interface with its port, and what is added."""

    def __init__(self, added: Iterable[str]) -> None:
        """`added` has names, which are taken with any port, and `name:port`.

        Raises:
            BadArgument: one of them is no name of a host.
        """
        self._added = frozenset(_checked(host) for host in ([added] if isinstance(added, str) else added))

    def has(self, netloc: str, server_port: int | None, scheme: str = "http") -> bool:
        """Whether `name` or `name:port` is one of ours; the port is the scheme's own where none is said."""
        place = _place(netloc)
        if place is None:
            return False
        name, port = place[0], place[1] or _DEFAULT_PORTS[scheme]
        if not self._added.isdisjoint({(name, None), (name, port)}):
            return True
        return name in _LOOPBACK and server_port in (None, port)

    def has_origin(self, origin: str, server_port: int | None) -> bool:
        """Whether a page of this origin is one of ours; `null`, which sandboxed pages and files have, never is."""
        found = _ORIGIN.fullmatch(origin)
        return found is not None and self.has(found["netloc"], server_port, found["scheme"])


def _checked(host: object) -> _Place:
    place = _place(host) if isinstance(host, str) else None
    if place is None:
        raise BadArgument(f"hosts has {host!r:.80}.", hint='It takes names of hosts, "box.example.com" or "box:8080".', argument="hosts")
    return place


def _place(netloc: str) -> _Place | None:
    found = _NETLOC.fullmatch(netloc)
    return None if found is None else (found["name"].lower(), int(found["port"]) if found["port"] else None)
