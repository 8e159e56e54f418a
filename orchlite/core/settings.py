"""The settings of a client, the limits that it enforces, and how long a store keeps what has ended.

The annotations are evaluated here: see `records`.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

MEBIBYTE = 1024 * 1024


class Limits(NamedTuple):
    """The bounds that a client enforces on bundles, arguments, models and logs: `Client(limits=Limits(upload_bytes=...))`."""

    upload_bytes: int = 100 * MEBIBYTE
    """Size of a bundle's ZIP."""
    unpacked_bytes: int = 512 * MEBIBYTE
    """Sum of the unpacked sizes of a bundle's files."""
    entry_bytes: int = 256 * MEBIBYTE
    """Unpacked size of one file of a bundle."""
    entries: int = 10_000
    """Number of files and folders in a bundle."""
    ratio: int = 200
    """Ratio of unpacked to packed size of one file; applies to files larger than `ratio_free_bytes` unpacked."""
    ratio_free_bytes: int = MEBIBYTE
    path_bytes: int = 240
    """Length of a path inside a bundle, in UTF-8."""
    depth: int = 32
    """Number of components of a path inside a bundle."""
    arguments_bytes: int = MEBIBYTE
    """Size of a task's arguments as JSON."""
    log_bytes: int = 50 * MEBIBYTE
    """Size of one run's log. Of a longer one the first half and the newest part are kept."""
    details_bytes: int = MEBIBYTE
    """Size of a connection's details as JSON."""
    model_bytes: int = 2048 * MEBIBYTE
    """Size of a model's file."""
    inference_log_rows: int = 1_000_000
    """Number of records in a pipeline's inference log, of which the oldest are deleted."""
    inference_log_bytes: int = 256 * MEBIBYTE
    """Size of a pipeline's inference log."""


class Retention(NamedTuple):
    """How long a store keeps what has ended. None keeps it forever."""

    runs_older_than: timedelta | None = timedelta(days=30)
    """Remove runs that ended longer ago, with their logs and files, and their tasks if these have ended, too."""
    keep_last_runs: int = 1
    """Keep this many of the newest runs of each scheduled or continuous task that is not killed, whatever their age."""
    events_older_than: timedelta | None = timedelta(days=90)
    """Remove events that happened longer ago."""
    environments_unused_for: timedelta | None = timedelta(days=30)
    """Remove environments that no run has used for this long. Their cache is shared by all stores of this account."""
    inference_logs_older_than: timedelta | None = timedelta(days=90)
    """Remove records of inferences that were made longer ago, of every pipeline."""


class Settings(NamedTuple):
    """The checked settings of one client; `Client` describes them."""

    base_image: str = "host"
    replace_pins: tuple[str, ...] = ()
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
    on_success: tuple[str, ...] | None = None
    on_late: tuple[str, ...] | None = None
    heartbeat: tuple[str, ...] | None = None
    retention: Retention | None = None
    standby_seconds: float = 60
    preload: tuple[str, ...] = ()
    allow_foreign_owner: bool = False
    leash: bool = False
    """True: the store is temporary, and its runs are cancelled when this process ends."""
