"""What the body of a request may be, by its endpoint: its media types, its size, and how long it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.settings import MEBIBYTE

if TYPE_CHECKING:
    from orchlite.core.settings import Limits

TOKEN_PATH = "/auth/realms/master/protocol/openid-connect/token"  # noqa: S105 - a path
CONFIG_PATH = "/v1/api/config"
INFER_PATH = "/v1/api/pipelines/infer/"
"""Followed by a deployment and a pipeline."""
ARROW = "application/vnd.apache.arrow.file"
JSON = "application/json"

_BUNDLE_PATH = "/v1/api/orchestration/upload"
_MODEL_PATHS = frozenset({"/v1/api/models/upload", "/v1/api/models/upload_and_convert"})
_UNTYPED_PATHS = frozenset({"/v1/api/users/query", "/v1/api/workspaces/add_user"})
"""The SDK of 2023 names no media type for these."""
_MULTIPART = ("multipart/form-data",)
_FORM = "application/x-www-form-urlencoded"
_PAGE_LOGIN_PATH = "/login"
_PAGE_BUNDLE_PATH = "/orchestrations"

_OVERHEAD_BYTES = MEBIBYTE
"""What a body may hold besides the uploaded file or the arguments."""
_ESCAPED_LENGTH = 6
"""The length of a character that JSON escapes: `\\u0041`."""
_OPEN_BYTES = 4096
_OPEN_SECONDS = 10.0
"""For what may come without a token."""
_UPLOAD_SECONDS = 3600.0
_DATA_BYTES = 128 * MEBIBYTE
"""What one inference may be sent. It is held in memory."""


def is_of_page(path: str) -> bool:
    """Return whether a request is for the page, if there is one: its path is that of no endpoint, of orchlite's or the platform's."""
    return not path.startswith(("/v1/", "/v2/", "/auth/")) and path != "/openapi.json"


class BodyRule(NamedTuple):
    """What the body of a request may be."""

    media_types: tuple[str, ...]
    """An empty one stands for JSON whose media type is not named."""
    limit_bytes: int
    total_seconds: float | None = None
    """How long it may take to arrive; by default as long as it may pause."""


class BodyRules(NamedTuple):
    """The largest bodies that a server accepts."""

    document_bytes: int
    """Of any JSON document."""
    bundle_bytes: int
    model_bytes: int
    data_bytes: int = _DATA_BYTES

    def of(self, path: str) -> BodyRule:
        """Return the rule for requests to this path."""
        if path == TOKEN_PATH:
            return BodyRule((_FORM,), _OPEN_BYTES, _OPEN_SECONDS)
        if path == CONFIG_PATH:
            return BodyRule((JSON,), _OPEN_BYTES, _OPEN_SECONDS)
        if path == _BUNDLE_PATH:
            return BodyRule(_MULTIPART, self.bundle_bytes, _UPLOAD_SECONDS)
        if path in _MODEL_PATHS:
            return BodyRule(_MULTIPART, self.model_bytes, _UPLOAD_SECONDS)
        if path.startswith(_PAGE_LOGIN_PATH):
            return BodyRule((_FORM, ""), _OPEN_BYTES, _OPEN_SECONDS)
        if path == _PAGE_BUNDLE_PATH:
            return BodyRule(_MULTIPART, self.bundle_bytes, _UPLOAD_SECONDS)
        if is_of_page(path):
            return BodyRule((_FORM,), self.document_bytes)
        if path.startswith(INFER_PATH):
            return BodyRule((JSON, ARROW), self.data_bytes)
        return BodyRule((JSON, "") if path in _UNTYPED_PATHS else (JSON,), self.document_bytes)


def rules_for(limits: Limits) -> BodyRules:
    """Return the rules for a client with these limits."""
    return BodyRules(
        document_bytes=_ESCAPED_LENGTH * max(limits.arguments_bytes, limits.details_bytes) + _OVERHEAD_BYTES,
        bundle_bytes=limits.upload_bytes + _OVERHEAD_BYTES,
        model_bytes=limits.model_bytes + _OVERHEAD_BYTES,
    )
