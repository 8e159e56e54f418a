"""An upload of bytes whose last orchestration or model is deleted at the same time: the bytes stay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

import orchlite
from orchlite.core.clock import SystemClock

MakeFolder = Callable[..., Path]


class _Interrupted(SystemClock):
    """Calls `meanwhile` once, when the main thread reads the time: an upload does so after it has stored its bundle."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] | None = None
        self._thread = threading.current_thread()

    def now(self) -> datetime:
        meanwhile = self.meanwhile
        if meanwhile is not None and threading.current_thread() is self._thread:
            self.meanwhile = None
            meanwhile()
        return super().now()


@pytest.fixture
def clock() -> _Interrupted:
    return _Interrupted()


@pytest.fixture
def client(tmp_path: Path, clock: _Interrupted) -> Iterator[orchlite.Client]:
    client = orchlite.Client(tmp_path / "store", workers=1, grace_seconds=0.5, clock=clock)
    yield client
    client.close(drain=False)


def test_a_bundle_that_is_deleted_while_it_is_uploaded_again_is_kept(
    client: orchlite.Client, clock: _Interrupted, folder: MakeFolder
) -> None:
    bundle = folder("print('kept')")
    first = client.upload_orchestration(path=bundle).wait()
    stored = client.path() / "bundles" / f"{first.sha()}.zip"
    seen: list[tuple[bool, bool]] = []

    def delete() -> None:
        was_kept = stored.exists()
        first.delete()
        seen.append((was_kept, stored.exists()))

    clock.meanwhile = delete
    second = client.upload_orchestration(path=bundle)
    assert seen == [(True, False)], "it was not deleted during the upload"
    assert stored.exists()
    assert "kept" in second.wait().run_once().wait(30).logs()


def test_a_model_that_is_deleted_while_it_is_uploaded_again_is_kept(client: orchlite.Client, clock: _Interrupted, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x09\x3a\x05graph")
    stored = client.path() / "models" / client.upload_model("first", tmp_path / "model.onnx").sha()
    seen: list[tuple[bool, bool]] = []

    def delete() -> None:
        was_kept = stored.exists()
        client.list_models()[0].delete()
        seen.append((was_kept, stored.exists()))

    clock.meanwhile = delete
    client.upload_model("second", tmp_path / "model.onnx")
    assert seen == [(True, False)], "it was not deleted during the upload"
    assert stored.exists()
    assert [model.name() for model in client.list_models()] == ["second"]
    assert client.check() == []
