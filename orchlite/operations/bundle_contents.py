"""What a stored bundle contains: its files, and the source of its program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orchlite.bundles import bundle
from orchlite.core.records import OrchestrationRow
from orchlite.core.system_errors import device_error
from orchlite.operations.context import Context

_SOURCE_BYTES = 32 * 1024


class StoredFile(NamedTuple):
    """A file of a bundle."""

    name: str
    """Path with `/`."""
    size_bytes: int


class BundleContents(NamedTuple):
    """The content of a bundle."""

    files: Sequence[StoredFile]
    """By name."""
    source: str
    """The first 32 KiB of the program."""
    is_cut: bool
    """Whether the program is longer."""


def contents(context: Context, orchestration: OrchestrationRow) -> BundleContents:
    """Return what the bundle of an orchestration contains.

    Raises:
        BadBundle: it is damaged.
        DeviceFailed, ResourceExhausted: it is missing, or cannot be read.
    """
    path = context.bundles.path(orchestration.sha)
    try:
        found = bundle.files(path)
        _, program = bundle.read_files(path, lambda entries: [one for one in entries if one.name == orchestration.entrypoint])
    except OSError as error:
        raise device_error(error, f"The bundle of orchestration {orchestration.orchestration_id} cannot be read") from error
    source = program.get(orchestration.entrypoint, b"")
    return BundleContents(
        files=[StoredFile(name, found[name].size_bytes) for name in sorted(found)],
        source=source[:_SOURCE_BYTES].decode("utf-8", "replace"),
        is_cut=len(source) > _SOURCE_BYTES,
    )
