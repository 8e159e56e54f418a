"""A head that executes nothing, for the quick tests; and a real cluster, for the slow ones, where Ray is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

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
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install -e '.[ray]'")
    cluster = RayCluster(tmp_path_factory.mktemp("nodes") / "cache")
    try:
        cluster.start_head()
        cluster.start_worker()
        cluster.wait_until_ready()
        yield cluster
    finally:
        cluster.stop()
