"""`orchlite open`: the address of a log-in, and the browser that it opens."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import Result

import orchlite
from orchlite.cli.login_address import login_address
from orchlite.rest import Server, serve
from orchlite.web import page

Start = Callable[..., "subprocess.Popen[str]"]
_PATIENCE_SECONDS = 60.0


@pytest.fixture
def server(store: Path) -> Iterator[Server]:
    """A server of the store, with its page."""
    with orchlite.Client(store, workers=1) as client, serve(client, port=0, page=page(client)) as server:
        yield server


def _redeem(log_in: str) -> int:
    """Log in with the key of an address, and return the status of the response."""
    url = httpx.URL(log_in)
    return httpx.post(url.copy_with(query=None), data={"key": url.params["key"]}, trust_env=False).status_code


def test_prints_an_address_that_is_good_for_one_log_in(server: Server, call: Callable[..., Result]) -> None:
    told = json.loads(call("open", "--no-browser", "--json").stdout)
    assert told["url"] == server.url
    assert (_redeem(told["log_in"]), _redeem(told["log_in"])) == (303, 403)


def test_refuses_to_make_a_running_server_read_only(server: Server, call: Callable[..., Result]) -> None:
    refused = call("open", "--read-only")
    assert (refused.exit_code, f"served at {server.url} already" in refused.stderr) == (1, True)


def test_a_server_without_a_page_is_named(store: Path, call: Callable[..., Result]) -> None:
    with orchlite.Client(store, workers=1) as client, serve(client, port=0) as server:
        refused = call("open", "--no-browser")
    assert (refused.exit_code, f"The server at {server.url} has no page" in refused.stderr) == (3, True)


def test_a_server_that_is_gone_cannot_be_logged_in_to() -> None:
    with pytest.raises(orchlite.DeviceFailed, match="cannot be reached"):
        login_address("http://127.0.0.1:1", "token")


@pytest.mark.slow
def test_gives_the_browser_a_file_that_no_other_account_can_read(server: Server, start: Start, store: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o700)
    printed, _ = start("open", BROWSER=str(browser)).communicate(timeout=_PATIENCE_SECONDS)
    file = store / "open.html"
    assert (tmp_path / "opened").read_text().strip() == file.as_uri()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = file.read_text().partition(f"{server.url}/login?key=")[2].partition('"')[0]
    assert (key in printed, _redeem(f"{server.url}/login?key={key}")) == (False, 303)


@pytest.mark.slow
def test_serves_the_store_where_nobody_does(start: Start) -> None:
    process = start("open", "--no-browser", "--json", "--read-only")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert _redeem(told["log_in"]) == 303
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
    assert (process.returncode, "Ctrl-C stops this process" in stderr) == (0, True)
