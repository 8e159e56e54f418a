"""Logging in to the page, and what a page refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import orchlite

Browsers = Callable[..., Any]


def test_a_visitor_is_asked_to_log_in(store: orchlite.Client, browser_of: Browsers) -> None:
    page = browser_of(store).get("/tasks/1?a=b", 401)
    assert "orchlite open" in page
    assert "/health" not in page


def test_a_key_is_good_for_one_log_in(store: orchlite.Client, browser_of: Browsers) -> None:
    visitor = browser_of(store)
    key = visitor.key()
    assert visitor.http.post("/login", data={"key": key}).status_code == 303
    assert "Last nights" in visitor.get("/")
    other = browser_of(store)
    assert other.http.post("/login", data={"key": key}).status_code == 403
    assert visitor.http.post("/login", data={"key": key}).status_code == 403


def test_the_cookie_is_seen_by_no_script_and_sent_by_no_other_site(store: orchlite.Client, browser_of: Browsers) -> None:
    visitor = browser_of(store)
    response = visitor.http.post("/login", data={"key": visitor.key()})
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_a_form_of_another_session_is_refused(browser: Any) -> None:
    for token in ("", "0" * 64):
        assert "another session" in browser.post("/logout", 403, form_token=token).text


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "evil", ""])
def test_a_log_in_leads_to_no_other_site(store: orchlite.Client, browser_of: Browsers, path: str) -> None:
    visitor = browser_of(store)
    response = visitor.http.post("/login", data={"key": visitor.key(), "path": path})
    assert (response.status_code, response.headers["location"]) == (303, "/")


def test_a_response_has_the_headers_that_keep_it_to_itself(browser: Any) -> None:
    for path in ("/", "/nowhere", "/login"):
        headers = browser.http.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
