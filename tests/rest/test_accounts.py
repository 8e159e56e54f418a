"""Accounts that log in with a name and a password, also over HTTP, and the tokens that they receive."""

from __future__ import annotations

import hmac
import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchlite
from orchlite.core.errors import BadArgument
from orchlite.rest.accounts import ACCESS_SECONDS, OWNER, REFRESH_SECONDS, Account, Accounts, accounts_of_environment, accounts_of_file
from orchlite.rest.passwords import hash_password
from orchlite.testing import ManualClock

_CHEAP = hash_password("correct horse", n=2, r=1, p=1)
_JANE = Account("jane", "jane@example.com", "00000000-0000-4000-8000-000000000001", _CHEAP)
_SECRET = "of tests"
_JANES_KEY = hmac.digest(_SECRET.encode(), f"{_JANE.user_id}\0{_JANE.password}".encode(), "sha256")
_LOGIN = "/auth/realms/master/protocol/openid-connect/token"
_USERS = "/auth/admin/realms/master/users"


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("HS256") | st.just(_JANE.user_id)
_NAMES = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "sub", "exp", "iat", "nbf", "aud", "jti"])
_JSON = _VALUES | st.dictionaries(_NAMES, _VALUES | st.lists(_VALUES, max_size=2) | st.dictionaries(_NAMES, _VALUES, max_size=2))


def _claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


class TestTokensOfAccounts:
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))

    @pytest.fixture
    def accounts(self, clock: ManualClock) -> Accounts:
        return Accounts([_JANE], secret=_SECRET, clock=clock)

    @pytest.fixture
    def access(self, accounts: Accounts) -> str:
        tokens = accounts.log_in("jane", "correct horse")
        assert tokens is not None
        return tokens.access

    @pytest.fixture
    def refresh(self, accounts: Accounts) -> str:
        tokens = accounts.log_in("jane", "correct horse")
        assert tokens is not None
        return tokens.refresh

    def test_name_their_account_until_they_expire(self, accounts: Accounts, access: str, clock: ManualClock) -> None:
        clock.advance(seconds=ACCESS_SECONDS - 1)
        assert accounts.authenticate(access) == _JANE
        clock.advance(seconds=1)
        assert accounts.authenticate(access) is None

    def test_are_renewed_until_the_refresh_token_expires(self, accounts: Accounts, refresh: str, clock: ManualClock) -> None:
        clock.advance(seconds=REFRESH_SECONDS - 1)
        renewed = accounts.refresh(refresh)
        assert renewed is not None
        assert accounts.authenticate(renewed.access) == _JANE
        clock.advance(seconds=1)
        assert accounts.refresh(refresh) is None

    def test_issued_in_the_same_second_differ(self, accounts: Accounts) -> None:
        assert accounts.log_in("jane", "correct horse") != accounts.log_in("jane", "correct horse")

    def test_stay_valid_when_the_clock_is_set_back(self, access: str) -> None:
        earlier = Accounts([_JANE], secret=_SECRET, clock=ManualClock(datetime(2025, 12, 31, tzinfo=UTC)))
        assert earlier.authenticate(access) == _JANE

    @pytest.mark.parametrize(
        ("username", "password"),
        [("jane", "wrong"), ("jane", ""), ("nobody", "correct horse"), (OWNER.username, ""), ("", ""), ("jane", "\ud800")],
    )
    def test_are_not_issued_for_a_wrong_name_or_password(self, accounts: Accounts, username: str, password: str) -> None:
        assert accounts.log_in(username, password) is None

    def test_refresh_tokens_authenticate_nothing_and_access_tokens_renew_nothing(
        self, accounts: Accounts, access: str, refresh: str
    ) -> None:
        assert (accounts.authenticate(refresh), accounts.refresh(access)) == (None, None)

    @pytest.mark.parametrize(
        "change",
        [
            lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
            lambda token: token.rsplit(".", 1)[0] + ".",
            lambda token: "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + token.split(".", 1)[1],
            lambda token: token.replace(".", ".e30.", 1),
            lambda token: token + "é",
            lambda token: token + "!!!!",
            lambda token: "." + "x" * 10_000,
            lambda token: "W10.W10.W10",
            lambda token: "e30.e30.e30",
            lambda token: "",
        ],
        ids=[
            *("signature", "no signature", "alg none", "four parts", "not ASCII", "junk after it", "huge", "arrays", "empty objects"),
            "empty",
        ],
    )
    def test_that_were_changed_are_refused(self, accounts: Accounts, access: str, change: Callable[[str], str]) -> None:
        assert accounts.authenticate(change(access)) is None

    @given(header=_JSON, claims=_JSON, signature=st.binary(max_size=40), separator=st.sampled_from([".", "..", "=", ""]))
    def test_that_were_made_up_are_refused(self, header: object, claims: object, signature: bytes, separator: str) -> None:
        segments = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
        token = separator.join(urlsafe_b64encode(segment).decode().rstrip("=") for segment in segments)
        assert Accounts([_JANE], secret=_SECRET).authenticate(token) is None

    def test_signed_with_the_key_of_the_account_are_accepted(self, accounts: Accounts, access: str) -> None:
        """Without this, the forgeries below might be refused for their key alone."""
        assert accounts.authenticate(jwt.encode(_claims(access), _JANES_KEY, "HS256")) == _JANE

    @pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
    @pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
    def test_signed_with_another_algorithm_are_refused(self, accounts: Accounts, access: str, algorithm: str) -> None:
        assert accounts.authenticate(jwt.encode(_claims(access), _JANES_KEY, algorithm)) is None

    def test_unsigned_are_refused(self, accounts: Accounts, access: str) -> None:
        assert accounts.authenticate(jwt.encode(_claims(access), None, "none")) is None

    @pytest.mark.parametrize("key", [b"k" * 32, _SECRET.encode().ljust(32, b"\0")], ids=["unrelated", "the bare secret"])
    def test_signed_with_a_foreign_key_are_refused(self, accounts: Accounts, access: str, key: bytes) -> None:
        assert accounts.authenticate(jwt.encode(_claims(access), key, "HS256")) is None

    def test_of_one_account_do_not_pass_for_another(self, access: str) -> None:
        joe = _JANE._replace(username="joe", user_id="00000000-0000-4000-8000-000000000002")
        forged = jwt.encode({**_claims(access), "sub": joe.user_id}, _JANES_KEY, "HS256")
        assert Accounts([_JANE, joe], secret=_SECRET).authenticate(forged) is None

    @pytest.mark.parametrize("subject", [None, 1, [], {}, "nobody", OWNER.username])
    def test_of_no_account_are_refused(self, accounts: Accounts, access: str, subject: object) -> None:
        assert accounts.authenticate(jwt.encode({**_claims(access), "sub": subject}, _JANES_KEY, "HS256")) is None

    @pytest.mark.parametrize(
        "other",
        [Accounts([_JANE], secret="another"), Accounts([_JANE._replace(password="new")], secret=_SECRET), Accounts(secret=_SECRET)],
        ids=["another secret", "a new password", "a removed account"],
    )
    def test_are_void_where_secret_password_or_account_changed(self, refresh: str, other: Accounts) -> None:
        assert other.refresh(refresh) is None

    def test_survive_a_restart_of_the_server(self, access: str, clock: ManualClock) -> None:
        assert Accounts([_JANE], secret=_SECRET, clock=clock).authenticate(access) == _JANE

    def test_issued_by_version_0_1_0_are_accepted(self, clock: ManualClock) -> None:
        """An upgrade logs nobody out."""
        token = (
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
            "eyJzdWIiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJlbWFpbCI6ImphbmVAZXhhbXBsZS5jb20iLCJwcmVmZXJyZWRfdXNlcm5h"
            "bWUiOiJqYW5lIiwidHlwIjoiYWNjZXNzIiwiaWF0IjoxNzY3MjI1NjAwLCJleHAiOjE3NjcyMjY1MDAsImp0aSI6IkV5Uk91N19XU3RldyJ9"
            "."
            "i5-gmZGFULSO3Tawz3YvjF9-491kNVTQ8SLAJ4DcsHk"
        )
        jane = _JANE._replace(password="correct horse")
        assert Accounts([jane], secret=_SECRET, clock=clock).authenticate(token) == jane

    def test_two_accounts_of_one_name_are_refused(self) -> None:
        with pytest.raises(BadArgument, match="same name"):
            Accounts([_JANE, _JANE])

    def test_passwords_are_not_shown(self, accounts: Accounts) -> None:
        assert "correct horse" not in repr([_JANE._replace(password="correct horse"), accounts])
        assert _CHEAP not in repr([_JANE, accounts])


class TestLoggingIn:
    @pytest.fixture
    def door(self, client: orchlite.Client, api_of: Callable[..., Any]) -> Any:
        return api_of(client, accounts=Accounts([_JANE]))

    def _log_in(self, door: Any, **fields: str) -> httpx.Response:
        answer: httpx.Response = door.request("POST", _LOGIN, token=None, data={"client_id": "sdk-client", **fields})
        return answer

    def test_returns_tokens_as_the_sdk_reads_them(self, door: Any) -> None:
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
        found = refused(answer, status)
        assert (found["kind"], found["error"]) == (error, found["msg"] if error == "BadArgument" else error)
        assert "wrong" not in answer.text.replace("is wrong", "")

    def test_accepts_a_form_only(self, door: Any, refused: Any) -> None:
        found = refused(door.request("POST", _LOGIN, token=None, json={"grant_type": "password"}), 415)
        assert found["details"] == {"expected": "application/x-www-form-urlencoded"}

    def test_needs_accounts(self, api: Any, refused: Any) -> None:
        found = refused(self._log_in(api, grant_type="password", username="jane", password="correct horse"), 401)
        assert found["kind"] == "Unauthorized"

    def test_finds_users_by_id_and_by_address(self, door: Any, refused: Any) -> None:
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

    def test_finds_the_owner_also_without_accounts(self, api: Any) -> None:
        owner = api.request("GET", f"{_USERS}/{OWNER.user_id}").json()
        assert owner["username"] == OWNER.username
        assert api.call("users/query") == {"users": {OWNER.user_id: owner}}

    def test_lists_users_by_their_ids_or_all(self, door: Any) -> None:
        jane = door.request("GET", f"{_USERS}/{_JANE.user_id}").json()
        assert door.call("users/query", user_ids=[_JANE.user_id, "nobody"]) == {"users": {_JANE.user_id: jane, "nobody": None}}
        assert list(door.call("users/query", user_ids=None)["users"]) == [OWNER.user_id, _JANE.user_id]

    def test_accepts_the_users_of_a_client_of_2023_which_names_no_media_type(self, door: Any, refused: Any) -> None:
        queried = door.request("POST", "/v1/api/users/query", content=b"{}")
        assert list(queried.json()["users"]) == [OWNER.user_id, _JANE.user_id]
        added = door.request("POST", "/v1/api/workspaces/add_user", content=json.dumps({"workspace_id": 1, "user_id": _JANE.user_id}))
        assert added.status_code == 200
        refused(door.request("POST", "/v1/api/workspaces/list_users", content=b'{"workspace_id": 1}'), 415)


class TestAccountsOfAFile:
    def _file(self, folder: Path, content: object, mode: int = 0o600) -> Path:
        path = folder / "accounts.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        path.chmod(mode)
        return path

    def test_have_a_name_a_password_and_optionally_an_address(self, tmp_path: Path) -> None:
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
        ids=["not JSON", "empty", "object", "number", "no password", "empty password", "number password", "more fields", "deep"],
    )
    def test_with_invalid_content_are_refused_without_showing_it(self, tmp_path: Path, content: object) -> None:
        with pytest.raises(BadArgument, match="cannot be used") as caught:
            accounts_of_file(self._file(tmp_path, content))
        assert "secret" not in caught.value.message
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602])
    def test_that_other_accounts_can_read_or_change_are_refused(self, tmp_path: Path, mode: int) -> None:
        with pytest.raises(BadArgument, match="chmod 600"):
            accounts_of_file(self._file(tmp_path, [{"username": "a", "password": "b"}], mode))

    def test_that_do_not_exist_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadArgument, match="cannot be read"):
            accounts_of_file(tmp_path / "nothing")

    def test_are_found_through_the_environment(self, tmp_path: Path) -> None:
        path = self._file(tmp_path, [{"username": "jane", "password": "x"}])
        assert [one.username for one in accounts_of_environment({"ORCHLITE_ACCOUNTS": os.fspath(path), "ORCHLITE_USER": "joe"})] == ["jane"]
        assert [one.password for one in accounts_of_environment({"ORCHLITE_USER": "joe", "ORCHLITE_PASSWORD": "y"})] == ["y"]
        assert accounts_of_environment({}) == ()
        with pytest.raises(BadArgument, match="ORCHLITE_PASSWORD"):
            accounts_of_environment({"ORCHLITE_USER": "joe"})
