"""A store's folder tells where it is served, as long as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchlite.core.served_stores import Announcement, ServedStore, find, run_of, run_token

HERE = ServedStore("http://127.0.0.1:8080", "/store/credentials.json")
THERE = ServedStore("http://127.0.0.1:9090", "/elsewhere.json")


def test_a_server_is_found_until_it_withdraws(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    announcement = Announcement(tmp_path, HERE)
    assert find(tmp_path) == HERE
    announcement.close()
    announcement.close()
    assert find(tmp_path) is None


def test_the_next_one_is_found_whatever_the_last_one_left(tmp_path: Path) -> None:
    Announcement(tmp_path, HERE._replace(url="http://127.0.0.1:8080/" + "x" * 100)).close()
    announcement = Announcement(tmp_path, THERE)
    assert find(tmp_path) == THERE
    announcement.close()


def test_a_second_server_leaves_the_first_one_named(tmp_path: Path) -> None:
    first, second = Announcement(tmp_path, HERE), Announcement(tmp_path, THERE)
    second.close()
    assert find(tmp_path) == HERE
    first.close()


def test_a_server_that_was_killed_is_not_found(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        Announcement(tmp_path, HERE)
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "server.json").read_bytes()
    assert find(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"url": "x"}', b'{"url": "x", "credentials": "y", "more": 1}'])
def test_a_file_that_says_something_else_names_none(tmp_path: Path, content: bytes) -> None:
    announcement = Announcement(tmp_path, HERE)
    (tmp_path / "server.json").write_bytes(content)
    assert find(tmp_path) is None
    announcement.close()


def test_the_token_of_a_run_is_known_by_who_has_the_secret() -> None:
    token = run_token("a secret", "5d4a")
    assert run_of("a secret", token) == "5d4a"
    assert "a secret" not in token


@pytest.mark.parametrize("token", ["", "run", "run.5d4a", "run.5d4a.", "run.5d4a.0123", "run.5d4a.0123.ü", "a secret"])
def test_any_other_token_is_none(token: str) -> None:
    assert run_of("a secret", token) is None
    assert run_of("another secret", run_token("a secret", "5d4a")) is None
    assert run_of("a secret", run_token("a secret", "5d4a").replace("5d4a", "5d4b")) is None
