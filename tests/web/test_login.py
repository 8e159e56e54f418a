"""Logging in to the page, and what a page refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

import orchlite
from orchlite.rest import application
from orchlite.rest.accounts import Account, Accounts
from orchlite.rest.passwords import hash_password
from orchlite.web import page
from orchlite.web.login_keys import LoginKeys
from tests.web.conftest import TOKEN

Browsers = Callable[..., Any]


@pytest.fixture
def accounts() -> Accounts:
    """One account that can log in, with a hash that is quick to compute."""
    return Accounts([Account("jane", "jane@example.com", "1", hash_password("correct horse", n=2, r=1, p=1))])


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


@pytest.mark.parametrize(
    "path", ["/%0Alogin", "/login%3Fx", "/login%23/x", "//static/x", "/static%09/x", "/x%2F..%2Flogin", "/LOGIN", "/V1/api"]
)
def test_no_spelling_of_an_address_leads_past_the_log_in(store: orchlite.Client, browser_of: Browsers, path: str) -> None:
    for method in ("GET", "HEAD"):
        assert browser_of(store).http.request(method, path).status_code == 401


def test_a_log_in_leads_to_the_address_as_it_was_typed(store: orchlite.Client, browser_of: Browsers) -> None:
    page = browser_of(store).get("/runs/1/files/a%20b%2Fc?as=x%2By", **{"Sec-Fetch-Site": "cross-site"})
    assert quote("/runs/1/files/a%20b%2Fc?as=x%2By", safe="") in page


def test_a_response_has_the_headers_that_keep_it_to_itself(browser: Any) -> None:
    for path in ("/", "/nowhere", "/login"):
        headers = browser.http.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert browser.http.get("/static/page.js").headers["content-security-policy"].startswith("default-src 'self';")
    for refused in (browser.http.get("/", headers={"Host": "evil.example"}), browser.http.post("/tasks/1/run", json={})):
        assert refused.headers["content-security-policy"].startswith("default-src 'none';")


def test_a_key_is_refused_after_ten_minutes() -> None:
    now = [0.0]
    keys = LoginKeys(lambda: now[0])
    first, second = keys.new("ada"), keys.new("ada")
    now[0] = 599.0
    assert keys.redeem(first) == "ada"
    now[0] = 600.0
    assert keys.redeem(second) is None


def test_of_a_hundred_unused_keys_the_oldest_is_dropped() -> None:
    keys = LoginKeys()
    made = [keys.new("ada") for _ in range(101)]
    assert [keys.redeem(key) for key in made] == [None, *["ada"] * 100]


def test_a_key_is_made_for_a_valid_token_only(store: orchlite.Client, browser_of: Browsers) -> None:
    visitor = browser_of(store)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic the-token-of-tests"}):
        assert visitor.http.post("/login/keys", headers=headers).status_code == 401


def test_an_account_logs_in_with_its_password(store: orchlite.Client, browser_of: Browsers, accounts: Accounts) -> None:
    visitor = browser_of(store, accounts=accounts)
    assert "Password" in visitor.get("/runs/1", 401)
    wrong = visitor.http.post("/login", data={"username": "jane", "password": "wrong"})
    assert (wrong.status_code, "The name or the password is wrong." in wrong.text) == (403, True)
    right = visitor.http.post("/login", data={"username": "jane", "password": "correct horse", "path": "/health"})
    assert (right.status_code, right.headers["location"]) == (303, "/health")
    assert "Last nights" in visitor.get("/")


def test_guesses_at_a_password_have_to_wait_wherever_they_are_made(
    store: orchlite.Client, browser_of: Browsers, accounts: Accounts
) -> None:
    visitor = browser_of(store, accounts=accounts)
    wrong = {"username": "jane", "password": "wrong"}
    token_path = "/auth/realms/master/protocol/openid-connect/token"
    assert [visitor.http.post("/login", data=wrong).status_code for _ in range(2)] == [403, 403]
    assert [visitor.http.post(token_path, data={"grant_type": "password", **wrong}).status_code for _ in range(2)] == [401, 401]
    late = visitor.http.post("/login", data=wrong)
    assert (late.status_code, late.headers["retry-after"]) == (429, "1")


def test_a_password_is_not_asked_for_without_accounts(store: orchlite.Client, browser_of: Browsers) -> None:
    visitor = browser_of(store)
    assert "Password" not in visitor.get("/login")
    assert visitor.http.post("/login", data={"username": "orchlite", "password": ""}).status_code == 403


def test_a_session_ends_with_the_log_out(browser: Any) -> None:
    cookie = dict(browser.http.cookies)
    browser.post("/logout")
    assert "orchlite open" in browser.get("/", 401)
    browser.http.cookies.update(cookie)  # someone has kept it
    browser.get("/", 401)


def test_a_session_outlasts_a_restart_of_the_server_but_not_a_new_token(store: orchlite.Client, browser: Any, browser_of: Browsers) -> None:
    restarted = browser_of(store)
    restarted.http.cookies.update(browser.http.cookies)
    restarted.get("/")
    renewed = browser_of(store, token="another-token-of-tests")
    renewed.http.cookies.update(browser.http.cookies)
    renewed.get("/", 401)


@pytest.mark.parametrize("purpose", ["access", "refresh"])
def test_a_token_of_the_api_is_no_session(store: orchlite.Client, browser_of: Browsers, accounts: Accounts, purpose: str) -> None:
    visitor = browser_of(store, accounts=accounts)
    tokens = accounts.log_in("jane", "correct horse")
    visitor.http.cookies.set("orchlite-8080", getattr(tokens, purpose))
    visitor.get("/", 401)


def test_a_session_is_no_token_of_the_api(browser: Any) -> None:
    (session,) = browser.http.cookies.values()
    asked = browser.http.post("/v1/api/workspaces/list", json={}, headers={"Authorization": f"Bearer {session}"})
    assert asked.status_code == 401


def test_requests_of_other_sites_are_refused(browser: Any) -> None:
    token = browser.form_token()
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999"):
        assert browser.http.post("/logout", data={"form_token": token}, headers={"Origin": origin}).status_code == 403
    assert browser.http.get("/", headers={"Host": "evil.example"}).status_code == 403


def test_a_link_of_another_site_leads_to_the_page_by_way_of_one_of_ours(browser: Any, store: orchlite.Client, browser_of: Browsers) -> None:
    # A browser sends no cookie with it, because that is SameSite=Strict.
    arrival = browser_of(store).get("/runs/1?a=b", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert 'content="0; url=/login?path=%2Fruns%2F1%3Fa%3Db"' in arrival
    assert browser.http.get("/login?path=%2Fruns%2F1%3Fa%3Db").headers["location"] == "/runs/1?a=b"


@pytest.mark.parametrize(("site", "sends_itself"), [("none", True), ("cross-site", False), ("same-origin", False)])
def test_only_an_address_that_someone_has_opened_redeems_its_key_by_itself(
    store: orchlite.Client, browser_of: Browsers, site: str, sends_itself: bool
) -> None:
    visitor = browser_of(store)
    page = visitor.get(f"/login?key={visitor.key()}", **{"Sec-Fetch-Site": site})
    assert ("data-sends-itself" in page) is sends_itself


def test_a_script_without_a_session_gets_no_page(store: orchlite.Client, browser_of: Browsers) -> None:
    assert browser_of(store).get("/version", 401, **{"Sec-Fetch-Mode": "cors"}) == ""


def test_an_address_that_takes_forms_only_says_so(browser: Any) -> None:
    response = browser.http.get("/logout")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_a_request_that_is_cut_off_leaves_nothing_in_the_log(store: orchlite.Client, portal: Any, caplog: pytest.LogCaptureFixture) -> None:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"key=", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    head = {"host": "127.0.0.1:80", "content-type": "application/x-www-form-urlencoded", "content-length": "100"}
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/login",
        "raw_path": b"/login",
        "query_string": b"",
        "server": ("127.0.0.1", 80),
        "headers": [(name.encode(), value.encode()) for name, value in head.items()],
    }
    portal.call(application(store, token=TOKEN, page=page(store)), scope, receive, send)
    assert (sent[0]["status"], caplog.records) == (400, [])
