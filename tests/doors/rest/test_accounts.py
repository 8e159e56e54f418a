"""Who may log in with a name and a password, over HTTP too, and what the tokens are worth that they are given."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import orchlite
from orchlite.core.errors import BadArgument
from orchlite.rest.accounts import ACCESS_SECONDS, OWNER, REFRESH_SECONDS, Account, Accounts, accounts_of_environment, accounts_of_file
from orchlite.testing import ManualClock

_JANE = Account("jane", "jane@example.com", "00000000-0000-4000-8000-000000000001", "correct horse")
_LOGIN = "/auth/realms/master/protocol/openid-connect/token"
_USERS = "/auth/admin/realms/master/users"


class TestTokensOfAccounts:
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))

    @pytest.fixture
    def accounts(self, clock: ManualClock) -> Accounts:
        return Accounts([_JANE], secret="of tests", clock=clock)

    def test_tell_whose_they_are_until_they_expire(self, accounts: Accounts, clock: ManualClock) -> None:
        tokens = accounts.log_in("jane", "correct horse")
        assert tokens is not None
        assert accounts.holder(tokens.access) == _JANE
        clock.advance(seconds=ACCESS_SECONDS)
        assert accounts.holder(tokens.access) is None

    def test_are_renewed_until_that_expires_too(self, accounts: Accounts, clock: ManualClock) -> None:
        tokens = accounts.log_in("jane", "correct horse")
        assert tokens is not None
        clock.advance(seconds=REFRESH_SECONDS - 1)
        renewed = accounts.refresh(tokens.refresh)
        assert renewed is not None
        assert accounts.holder(renewed.access) == _JANE
        clock.advance(seconds=1)
        assert accounts.refresh(tokens.refresh) is None

    @pytest.mark.parametrize(
        ("username", "password"),
        [("jane", "wrong"), ("jane", ""), ("nobody", "correct horse"), (OWNER.username, ""), ("", ""), ("jane", "\ud800")],
    )
    def test_are_given_to_nobody_else(self, accounts: Accounts, username: str, password: str) -> None:
        assert accounts.log_in(username, password) is None

    def test_for_renewing_open_nothing_and_the_others_renew_nothing(self, accounts: Accounts) -> None:
        tokens = accounts.log_in("jane", "correct horse")
        assert tokens is not None
        assert (accounts.holder(tokens.refresh), accounts.refresh(tokens.access)) == (None, None)

    @pytest.mark.parametrize(
        "change",
        [
            lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
            lambda token: token.rsplit(".", 1)[0] + ".",
            lambda token: "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + token.split(".", 1)[1],
            lambda token: token.replace(".", ".e30.", 1),
            lambda token: token + "é",
            lambda token: "." + "x" * 10_000,
            lambda token: "W10.W10.W10",
            lambda token: "",
        ],
        ids=["signature", "unsigned", "no algorithm", "four parts", "no ASCII", "huge", "no objects", "empty"],
    )
    def test_that_were_changed_are_nobodys(self, accounts: Accounts, change: Callable[[str], str]) -> None:
        tokens = accounts.log_in("jane", "correct horse")
        assert tokens is not None
        assert accounts.holder(change(tokens.access)) is None

    @pytest.mark.parametrize(
        "other",
        [Accounts([_JANE], secret="another"), Accounts([_JANE._replace(password="new")], secret="of tests"), Accounts(secret="of tests")],
        ids=["another server", "a new password", "a removed account"],
    )
    def test_end_with_what_they_were_made_from(self, accounts: Accounts, other: Accounts) -> None:
        tokens = accounts.log_in("jane", "correct horse")
        assert tokens is not None
        assert other.refresh(tokens.refresh) is None

    def test_outlive_a_server_that_is_started_again(self, accounts: Accounts, clock: ManualClock) -> None:
        tokens = accounts.log_in("jane", "correct horse")
        assert tokens is not None
        assert Accounts([_JANE], secret="of tests", clock=clock).holder(tokens.access) == _JANE

    def test_two_accounts_of_one_name_are_refused(self) -> None:
        with pytest.raises(BadArgument, match="same name"):
            Accounts([_JANE, _JANE])

    def test_passwords_are_not_shown(self, accounts: Accounts) -> None:
        assert "correct horse" not in repr([_JANE, accounts])


class TestLoggingIn:
    @pytest.fixture
    def door(self, client: orchlite.Client, api_of: Callable[..., Any]) -> Any:
        return api_of(client, accounts=Accounts([_JANE]))

    def _log_in(self, door: Any, **fields: str) -> httpx.Response:
        answer: httpx.Response = door.request("POST", _LOGIN, token=None, data={"client_id": "sdk-client", **fields})
        return answer

    def test_answers_with_tokens_as_the_sdk_reads_them(self, door: Any) -> None:
        answer = self._log_in(door, grant_type="password", username="jane", password="correct horse")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        found = answer.json()
        assert (found["expires_in"], found["refresh_expires_in"]) == (ACCESS_SECONDS, REFRESH_SECONDS)
        assert door.request("POST", "/v1/api/workspaces/list", token=found["access_token"], json={}).status_code == 200
        renewed = self._log_in(door, grant_type="refresh_token", refresh_token=found["refresh_token"])
        assert renewed.json().keys() == found.keys()

    @pytest.mark.parametrize(
        ("fields", "status", "error"),
        [
            ({"grant_type": "password", "username": "jane", "password": "wrong"}, 401, "invalid_grant"),
            ({"grant_type": "password"}, 401, "invalid_grant"),
            ({"grant_type": "refresh_token", "refresh_token": "wrong"}, 400, "invalid_grant"),
            ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, 400, "unsupported_grant_type"),
            ({}, 400, "BadArgument"),
        ],
        ids=["wrong password", "no password", "wrong refresh token", "another grant", "no grant"],
    )
    def test_is_refused(self, door: Any, refused: Any, fields: dict[str, str], status: int, error: str) -> None:
        answer = self._log_in(door, **fields)
        assert refused(answer, status)["error"] == error
        assert "wrong" not in answer.text.replace("is wrong", "")

    def test_takes_a_form_and_nothing_else(self, door: Any, refused: Any) -> None:
        refused(door.request("POST", _LOGIN, token=None, json={"grant_type": "password"}), 415)

    def test_needs_accounts(self, api: Any, refused: Any) -> None:
        refused(self._log_in(api, grant_type="password", username="jane", password="correct horse"), 401)

    def test_users_are_found_by_id_and_by_address(self, door: Any, refused: Any) -> None:
        jane = door.request("GET", f"{_USERS}/{_JANE.user_id}").json()
        assert jane | {"createdTimestamp": 0} == {
            "id": _JANE.user_id,
            "username": "jane",
            "email": "jane@example.com",
            "enabled": True,
            "createdTimestamp": 0,
        }
        assert door.request("GET", _USERS, params={"email": "jane@example.com"}).json() == [jane]
        assert door.request("GET", _USERS, params={"email": "nobody"}).json() == []
        refused(door.request("GET", f"{_USERS}/nobody"), 404)
        refused(door.request("GET", f"{_USERS}/{_JANE.user_id}", token=None), 401)

    def test_the_owner_is_a_user_also_without_accounts(self, api: Any) -> None:
        assert api.request("GET", f"{_USERS}/{OWNER.user_id}").json()["username"] == OWNER.username


class TestAccountsOfAFile:
    def _file(self, folder: Path, content: object, mode: int = 0o600) -> Path:
        path = folder / "accounts.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        path.chmod(mode)
        return path

    def test_have_a_name_a_password_and_perhaps_an_address(self, tmp_path: Path) -> None:
        entries = [
            {"username": "jane", "password": "x", "email": "j@ex.co"},
            {"username": "joe@ex.co", "password": "y"},
            {"username": "ann", "password": "z"},
        ]
        found = accounts_of_file(self._file(tmp_path, entries))
        assert [(one.username, one.password, one.email) for one in found] == [
            ("jane", "x", "j@ex.co"),
            ("joe@ex.co", "y", "joe@ex.co"),
            ("ann", "z", "ann@localhost"),
        ]
        assert [one.user_id for one in accounts_of_file(tmp_path / "accounts.json")] == [one.user_id for one in found]

    @pytest.mark.parametrize(
        "content",
        [
            "no JSON secret",
            [],
            {},
            "[1]",
            [{"username": "secret"}],
            [{"username": "a", "password": ""}],
            [{"username": "a", "password": 7}],
            [{"username": "a", "password": "secret", "x": 1}],
            "[" * 100_000,
        ],
        ids=["no JSON", "empty", "object", "number", "no password", "empty password", "number password", "more", "deep"],
    )
    def test_that_says_something_else_are_refused_without_showing_it(self, tmp_path: Path, content: object) -> None:
        with pytest.raises(BadArgument, match="cannot be used") as caught:
            accounts_of_file(self._file(tmp_path, content))
        assert "secret" not in caught.value.message
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602])
    def test_that_others_can_read_or_change_are_refused(self, tmp_path: Path, mode: int) -> None:
        with pytest.raises(BadArgument, match="chmod 600"):
            accounts_of_file(self._file(tmp_path, [{"username": "a", "password": "b"}], mode))

    def test_that_are_not_there_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadArgument, match="cannot be read"):
            accounts_of_file(tmp_path / "nothing")

    def test_may_be_told_by_the_environment(self, tmp_path: Path) -> None:
        path = self._file(tmp_path, [{"username": "jane", "password": "x"}])
        assert [one.username for one in accounts_of_environment({"ORCHLITE_ACCOUNTS": os.fspath(path), "ORCHLITE_USER": "joe"})] == ["jane"]
        assert [one.password for one in accounts_of_environment({"ORCHLITE_USER": "joe", "ORCHLITE_PASSWORD": "y"})] == ["y"]
        assert accounts_of_environment({}) == ()
        with pytest.raises(BadArgument, match="ORCHLITE_PASSWORD"):
            accounts_of_environment({"ORCHLITE_USER": "joe"})
