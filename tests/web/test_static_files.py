"""The files that the page loads: few lines of our own, and nothing from elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest

from orchlite.core.status import OrchestrationStatus, RunStatus, TaskStatus
from orchlite.web.rendering import STATIC, static_url

_TEMPLATES = STATIC.with_name("templates")


def test_the_scripts_are_short() -> None:
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in STATIC.glob("*.js")) < 250


@pytest.mark.parametrize("path", [*sorted(STATIC.iterdir()), *sorted(_TEMPLATES.iterdir())], ids=lambda path: path.name)
def test_nothing_comes_from_another_host_and_nothing_is_inline(path: Any) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?://|url\(//|@import", text) == []
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text) == []
    assert "|safe" not in text.replace(" ", "")


def test_every_status_but_two_quiet_ones_has_a_colour() -> None:
    css = (STATIC / "style.css").read_text(encoding="utf-8")
    coloured = {name for names in re.findall(r"\.badge:is\(([^)]*)\)", css) for name in re.findall(r"\w+", names)}
    assert {*RunStatus, *TaskStatus, *OrchestrationStatus, "missed"} - coloured == {"started", "killed"}


def test_a_browser_may_keep_a_file_whose_address_has_its_digest(browser: Any) -> None:
    kept, asked = browser.http.get(static_url("style.css")), browser.http.get("/static/style.css")
    assert (kept.status_code, kept.headers["cache-control"]) == (200, "private, max-age=31536000, immutable")
    assert asked.headers["cache-control"] == "no-store"
    for path in ("/static/../session.py", "/static/%2e%2e/session.py", "/static/none.css"):
        assert browser.http.get(path).status_code == 404
