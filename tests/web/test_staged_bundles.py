"""Bundles that wait for someone to upload them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite.core.settings import MEBIBYTE
from orchlite.operations.upload import BundleCheck, Upload
from orchlite.web.staged_bundles import StagedBundle, StagedBundles

_NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def _bundle(path: Path, size_bytes: int = 1, minutes: int = 0) -> StagedBundle:
    path.touch()
    found = BundleCheck("", size_bytes, "main.py", (), ())
    return StagedBundle(Upload(path, 1, None, path.name), _NOON + timedelta(minutes=minutes), found)


@pytest.mark.parametrize(
    ("count", "size_bytes", "minutes", "kept"), [(25, 1, 0, 20), (7, 100 * MEBIBYTE, 0, 5), (2, 600 * MEBIBYTE, 0, 1), (9, 1, 10, 5)]
)
def test_those_that_are_too_many_too_large_or_too_old_are_discarded(
    tmp_path: Path, count: int, size_bytes: int, minutes: int, kept: int
) -> None:
    bundles = StagedBundles()
    keys = [bundles.add(_bundle(tmp_path / f"{number:02}", size_bytes, minutes * number)) for number in range(count)]
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{number:02}" for number in range(count - kept, count)]
    assert bundles.get(keys[-1]).size_bytes == size_bytes
    with pytest.raises(orchlite.NotFound):
        bundles.get(keys[0])


def test_none_outlasts_its_server(tmp_path: Path) -> None:
    bundles = StagedBundles()
    bundles.add(_bundle(tmp_path / "a"))
    del bundles
    assert list(tmp_path.iterdir()) == []
