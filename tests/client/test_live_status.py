"""The line that a notebook shows during a wait, with a stand-in for the notebook."""

from __future__ import annotations

import sys
import threading
import types
from typing import Any

import pytest

from orchlite.client.live_status import live_status


class Notebook:
    """Keeps what is displayed; signals when something was."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.html = ""
        self.has_shown = threading.Event()

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Notebook:
        assert raw
        assert display_id
        self.update(data, raw=raw)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(data["text/plain"].rpartition(",")[0])
        self.html = data["text/html"]
        self.has_shown.set()


def ipython(monkeypatch: pytest.MonkeyPatch, shell: Any) -> Notebook:
    notebook = Notebook()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    return notebook


KERNEL = types.SimpleNamespace(kernel=object())
TERMINAL = types.SimpleNamespace()


def test_a_line_is_shown_and_keeps_its_last_state(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook, status = ipython(monkeypatch, KERNEL), "running"
    with live_status(lambda: f"run <7>: {status}"):
        assert notebook.has_shown.wait(60)
        status = "success"
    assert (notebook.shown[0], notebook.shown[-1]) == ("run <7>: running", "run <7>: success")
    assert notebook.html.startswith("<pre>run &lt;7&gt;: success")


def test_it_ends_with_a_wait_that_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython(monkeypatch, KERNEL)
    with pytest.raises(KeyboardInterrupt), live_status(lambda: "running"):
        raise KeyboardInterrupt
    assert "orchlite-live-status" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("shell", [None, TERMINAL], ids=["no shell", "terminal"])
def test_nothing_is_shown_outside_of_a_notebook(monkeypatch: pytest.MonkeyPatch, shell: Any) -> None:
    notebook = ipython(monkeypatch, shell)
    with live_status(lambda: pytest.fail("asked")):
        assert "orchlite-live-status" not in {thread.name for thread in threading.enumerate()}
    assert notebook.shown == []
