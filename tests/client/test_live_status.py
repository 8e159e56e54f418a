"""The line that a notebook shows during a wait, with a stand-in for the notebook."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite import Client
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


def test_a_failed_run_shows_why_after_the_wait_and_in_its_table(
    monkeypatch: pytest.MonkeyPatch, client: Client, folder: Callable[..., Path], waiting_program: str, gate: Path
) -> None:
    notebook = ipython(monkeypatch, KERNEL)
    monkeypatch.setattr(notebook.has_shown, "set", gate.touch)
    run = client.upload_orchestration(path=folder(f"{waiting_program}\nraise ValueError('<no rows>')")).run_once().wait()
    assert notebook.shown[-1].endswith(": failure, ValueError: <no rows>")
    assert "ValueError: &lt;no rows&gt;</pre>" in run._repr_html_()


def test_a_table_of_tasks_has_the_schedule_and_the_next_run(travel: Callable[..., orchlite.Orchestration]) -> None:
    orchestration = travel()
    shown = [orchestration.run_scheduled("n", "30 2 * * *", timezone=zone)._repr_html_() for zone in ("UTC", "Europe/Berlin")]
    assert "<td>30 2 * * *</td><td>started</td><td></td><td>2026-03-01 02:30:00+00:00</td>" in shown[0]
    assert "<td>30 2 * * * Europe/Berlin</td><td>started</td><td></td><td>2026-03-01 02:30:00+01:00</td>" in shown[1]
