"""What a client can be set to: its settings, the limits it enforces, and how long a store keeps what has ended.

The annotations are evaluated here: see `records`.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

MEBIBYTE = 1024 * 1024


class Limits(NamedTuple):
    """The bounds that orchlite enforces; all can be set, `Client(limits=Limits(upload_bytes=...))`."""

    upload_bytes: int = 100 * MEBIBYTE
    unpacked_bytes: int = 512 * MEBIBYTE
    entry_bytes: int = 256 * MEBIBYTE
    entries: int = 10_000
    ratio: int = 200
    """Unpacked to packed size of one entry; looked at above `ratio_free_bytes` only."""
    ratio_free_bytes: int = MEBIBYTE
    path_bytes: int = 240
    depth: int = 32
    arguments_bytes: int = MEBIBYTE
    log_bytes: int = 50 * MEBIBYTE
    """Kept of one run's log: the first half, and the newest part of the rest."""
    details_bytes: int = MEBIBYTE
    """Of a connection's details, as JSON."""


class Retention(NamedTuple):
    """How long a store keeps what is over. None: for ever."""

    runs_older_than: timedelta | None = timedelta(days=30)
    """Runs that ended longer ago go, with logs and files, and with their tasks where these are over, too."""
    keep_last_runs: int = 1
    """Of each schedule and each continuous task that is not killed, the newest so many runs stay, however old they are."""
    events_older_than: timedelta | None = timedelta(days=90)
    environments_unused_for: timedelta | None = timedelta(days=30)
    """The cache of environments is shared by all stores of this account."""


class Settings(NamedTuple):
    """How one client wants its runs to be done."""

    base_image: str = "host"
    workers: int = 1
    env: Mapping[str, str] = MappingProxyType({})
    env_passthrough: tuple[str, ...] = ()
    limits: Limits = Limits()
    installer: str = "auto"
    index_urls: tuple[str, ...] = ()
    install_timeout_seconds: float = 900
    grace_seconds: float = 10
    keep_work: str = "changed"
    on_failure: tuple[str, ...] | None = None
    retention: Retention | None = None
    leash: bool = False
