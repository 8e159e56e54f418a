"""The head of a request, as the guard sees it: method, address and headers, before any of the body is read. Pure rules."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from starlette.types import Scope

DOWNLOAD_PATH = "/v1/api/orchestration/download"
"""The only endpoint that accepts the token in its address: the platform's clients make links to it."""


class RequestHead:
    """The method, the address and the headers of a request."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        server = scope.get("server")
        self.server_port: int | None = server[1] if server else None

    def values(self, name: bytes) -> list[str]:
        """Return the values of every header with this name, which is in lower case."""
        return [value.decode("latin-1").strip() for key, value in self._scope["headers"] if key.lower() == name]

    @property
    def declared_bytes(self) -> int:
        """The length of the body according to Content-Length; 0 without that header."""
        return max((int(value) for value in self.values(b"content-length") if value.isascii() and value.isdigit()), default=0)

    @property
    def has_body(self) -> bool:
        """Whether the headers announce a body."""
        return self.declared_bytes > 0 or bool(self.values(b"transfer-encoding"))

    @property
    def body_type(self) -> str:
        """The media type of the body, without parameters; empty if none is given."""
        return ",".join(self.values(b"content-type")).partition(";")[0].strip().lower()

    def token(self) -> str | None:
        """Return the token: after `Bearer`, or bare, as the SDK's test mode sends it; for a download also from the address."""
        values = self.values(b"authorization")
        if len(values) == 1:
            scheme, _, token = values[0].rpartition(" ")
            return token if scheme.strip().lower() in ("", "bearer") else None
        return None if values or not self._is_download() else dict(self._query()).get("token")

    def scope_without_token(self) -> Scope:
        """Return the scope without the token that the address of a download may hold, so that no log records it."""
        if not self._is_download():
            return self._scope
        query = urlencode([(name, value) for name, value in self._query() if name != "token"])
        return {**self._scope, "query_string": query.encode("ascii")}

    def _is_download(self) -> bool:
        return (self.method, self.path) == ("GET", DOWNLOAD_PATH)

    def _query(self) -> list[tuple[str, str]]:
        return parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)
