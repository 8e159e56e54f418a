"""What every test has: a cache of environments that all tests share, and stores of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import orchlite

Files = dict[str, str]


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache of environments for the whole session: `ORCHLITE_TEST_CACHE`, else a temporary folder."""
    given = os.environ.get("ORCHLITE_TEST_CACHE")
    folder = Path(given) if given else tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHLITE_CACHE", str(folder))
        patch.delenv("ORCHLITE_STORE", raising=False)
        yield folder


@pytest.fixture
def client(tmp_path: Path) -> Iterator[orchlite.Client]:
    """A client with a store of its own, two workers, and a short grace; closed without waiting."""
    client = orchlite.Client(tmp_path / "store", workers=2, grace_seconds=0.5)
    yield client
    for task in client.list_tasks():
        task.kill()
    client.close(drain=False)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a bundle folder: `folder("print(1)")`, or `folder({"main.py": "...", "data.csv": "..."})`."""
    made = iter(range(1000))

    def make(files: str | Files) -> Path:
        path = tmp_path / f"bundle-{next(made)}"
        for name, text in ({"main.py": files} if isinstance(files, str) else files).items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text, encoding="utf-8")
        return path

    return make
