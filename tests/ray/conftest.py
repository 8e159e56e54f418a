"""A head that executes nothing, for the quick tests; and a real cluster, for the slow ones, where Ray is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ray.fake_head import FakeHead, serving
from tests.ray.ray_cluster import RayCluster


@pytest.fixture
def head() -> FakeHead:
    return FakeHead()


@pytest.fixture
def url(head: FakeHead) -> Iterator[str]:
    """The address of `head`."""
    with serving(head) as url:
        yield url


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """A real cluster of two nodes, one for all tests; it leaves no process."""
    command = Path(os.environ.get("ORCHLITE_TEST_RAY") or Path(sys.executable).with_name("ray"))
    if not command.exists():
        pytest.skip("Ray is not installed: pip install -e '.[ray]', or name the command `ray` of another environment in ORCHLITE_TEST_RAY")
    cluster = RayCluster(command, tmp_path_factory.mktemp("nodes") / "cache")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
