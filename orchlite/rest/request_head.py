"""A request as the guard sees it: what its headers and its address say, before anything of its body is read. Pure rules."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from starlette.types import Scope

DOWNLOAD_PATH = "/v1/api/orchestration/download"
"""The one endpoint whose address may hold the token: the platform's clients write links to it."""


class RequestHead:
    """A request, as far as its headers and its address tell."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        server = scope.get("server")
        self.server_port: int | None = server[1] if server else None

    def values(self, name: bytes) -> list[str]:
        """Every header of this name, in lower case, as text."""
        return [value.decode("latin-1").strip() for key, value in self._scope["headers"] if key.lower() == name]

    @property
    def declared_bytes(self) -> int:
        """The length of the body, where it is said beforehand; else 0."""
        return max((int(value) for value in self.values(b"content-length") if value.isascii() and value.isdigit()), default=0)

    @property
    def has_body(self) -> bool:
        """Whether a body was announced."""
        return self.declared_bytes > 0 or bool(self.values(b"transfer-encoding"))

    @property
    def body_type(self) -> str:
        """The media type of the body, without parameters."""
        return ",".join(self.values(b"content-type")).partition(";")[0].strip().lower()

    def token(self) -> str | None:
        """What is shown as a token: after `Bearer`, or by itself, as the SDK's test mode sends it; or, for a download, in the address."""
        shown = self.values(b"authorization")
        if len(shown) == 1:
            scheme, _, token = shown[0].rpartition(" ")
            return token if scheme.strip().lower() in ("", "bearer") else None
        return None if shown or not self._is_download() else dict(self._query()).get("token")

    def without_token(self) -> Scope:
        """The same request, without the token that its address may show: what is not handed on ends up in no log."""
        if not self._is_download():
            return self._scope
        query = urlencode([(name, value) for name, value in self._query() if name != "token"])
        return {**self._scope, "query_string": query.encode("ascii")}

    def _is_download(self) -> bool:
        return (self.method, self.path) == ("GET", DOWNLOAD_PATH)

    def _query(self) -> list[tuple[str, str]]:
        return parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)
