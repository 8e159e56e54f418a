"""Log-ins that fail: how fast they may be repeated, what the log says of them, and how passwords are kept."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import orchlite
from orchlite.core.errors import BadArgument
from orchlite.rest import serve
from orchlite.rest.accounts import Account, Accounts, accounts_of_file
from orchlite.rest.login_throttle import LoginThrottle
from orchlite.rest.passwords import hash_password, is_hash, matches

_LOGIN = "/auth/realms/master/protocol/openid-connect/token"
_CHEAP = hash_password("correct horse", n=2, r=1, p=1)
_JANE = Account("jane", "jane@example.com", "00000000-0000-4000-8000-000000000001", _CHEAP)


class _Seconds:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestPasswords:
    @pytest.mark.slow
    def test_are_kept_as_salted_hashes(self) -> None:
        first = hash_password("hunter2")
        assert hash_password("hunter2", n=2, r=1, p=1) != hash_password("hunter2", n=2, r=1, p=1)
        assert "hunter2" not in first
        assert is_hash(first)
        assert matches("hunter2", first)
        assert not matches("hunter3", first)

    @pytest.mark.parametrize("given", ["", "correct", "correct horses", "Correct horse", "\ud800"])
    def test_match_only_themselves(self, given: str) -> None:
        assert matches("correct horse", _CHEAP)
        assert not matches(given, _CHEAP)

    def test_in_plain_text_match_only_themselves(self) -> None:
        assert matches("hunter2", "hunter2")
        assert not matches("hunter", "hunter2")

    def test_of_nobody_match_nothing(self) -> None:
        assert not matches("", None)

    def test_that_are_the_hash_itself_do_not_match(self) -> None:
        assert not matches(_CHEAP, _CHEAP)

    @pytest.mark.parametrize(
        "text",
        [
            *("scrypt$", "scrypt$x", "scrypt$3$8$1$AAAA$AAAA", "scrypt$16384$8$1$AAAA$AAAA", "scrypt$16384$0$1$AAAA$" + "A" * 43 + "="),
            *("scrypt$1073741824$8$1$AAAA$" + "A" * 43 + "=", "scrypt$16384$8$1000$AAAA$" + "A" * 43 + "="),
            *("scrypt$16384$8$-1$AAAA$" + "A" * 43 + "=", "scrypt$1$8$1$AAAA$" + "A" * 43 + "="),
        ],
    )
    def test_that_look_like_a_hash_and_are_none_are_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "accounts.json"
        path.write_text(f'[{{"username": "jane", "password": "{text}"}}]')
        path.chmod(0o600)
        with pytest.raises(BadArgument, match=r"begins with scrypt\$"):
            accounts_of_file(path)

    def test_in_plain_text_are_warned_of_without_being_shown(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "accounts.json"
        path.write_text('[{"username": "jane", "password": "hunter2"}]')
        path.chmod(0o600)
        accounts_of_file(path)
        assert [(record.levelno, "hunter2" in record.getMessage()) for record in caplog.records] == [(logging.WARNING, False)]
        assert "orchlite.rest.passwords" in caplog.text
        caplog.clear()
        path.write_text(f'[{{"username": "jane", "password": "{_CHEAP}"}}]')
        assert accounts_of_file(path)[0].password == _CHEAP
        assert caplog.records == []

    @pytest.mark.slow
    def test_are_hashed_by_a_command_that_reads_them_from_standard_input(self) -> None:
        command = [sys.executable, "-m", "orchlite.rest.passwords"]
        made = subprocess.run(command, input="correct horse\n", capture_output=True, text=True, check=True)
        assert matches("correct horse", made.stdout.strip())
        assert subprocess.run(command, input="\n", capture_output=True, text=True, check=False).returncode == 1

    def test_that_change_void_tokens_also_as_hashes(self) -> None:
        tokens = Accounts([_JANE], secret="of tests").log_in("jane", "correct horse")
        assert tokens is not None
        changed = _JANE._replace(password=hash_password("new", n=2, r=1, p=1))
        assert Accounts([_JANE], secret="of tests").authenticate(tokens.access) == _JANE
        assert Accounts([changed], secret="of tests").authenticate(tokens.access) is None


class TestTheThrottle:
    @pytest.fixture
    def clock(self) -> _Seconds:
        return _Seconds()

    @pytest.fixture
    def throttle(self, clock: _Seconds) -> LoginThrottle:
        return LoginThrottle(clock)

    def test_doubles_the_delay_of_an_account_up_to_a_minute(self, throttle: LoginThrottle, clock: _Seconds) -> None:
        assert [throttle.begin("jane", f"10.0.0.{number}") for number in range(3)] == [0, 0, 0]
        delays = []
        for number in range(9):
            assert throttle.begin("jane", f"10.0.1.{number}") == 0
            delays.append(throttle.begin("jane", f"10.0.2.{number}"))
            clock.now += delays[-1]
        assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_delays_an_address_whatever_the_name(self, throttle: LoginThrottle) -> None:
        waits = [throttle.begin(f"name {number}", "10.0.0.1") for number in range(20)]
        assert (waits[:11], waits[11:]) == ([0] * 11, [1] * 9)
        assert throttle.begin("name 0", "10.0.0.2") == 0

    def test_takes_the_addresses_of_one_ipv6_network_for_one(self, throttle: LoginThrottle) -> None:
        waits = [throttle.begin(f"name {number}", f"2001:db8::{number + 1:x}") for number in range(12)]
        assert waits[-1] == 1
        assert throttle.begin("name", "2001:db8:0:1::1") == 0

    def test_does_not_count_what_it_refuses(self, throttle: LoginThrottle, clock: _Seconds) -> None:
        for _ in range(100):
            throttle.begin("jane", "10.0.0.1")
        assert throttle.failures("jane") == 4
        clock.now += 1
        assert throttle.begin("jane", "10.0.0.1") == 0

    def test_forgets_failures_after_a_quarter_of_an_hour(self, throttle: LoginThrottle, clock: _Seconds) -> None:
        for _ in range(4):
            throttle.begin("jane", "10.0.0.1")
        clock.now += 15 * 60
        assert throttle.failures("jane") == 0

    def test_forgets_an_accounts_failures_after_a_success(self, throttle: LoginThrottle) -> None:
        for _ in range(3):
            throttle.begin("jane", "10.0.0.1")
        throttle.succeeded("jane", "10.0.0.1")
        assert throttle.failures("jane") == 0

    def test_is_not_reset_for_an_address_by_a_success_with_an_own_account(self, throttle: LoginThrottle) -> None:
        waits = []
        for number in range(30):
            waits.append(throttle.begin(f"victim {number}", "10.0.0.1"))
            if throttle.begin("own", "10.0.0.1") == 0:
                throttle.succeeded("own", "10.0.0.1")
        assert waits[-1] > 0

    def test_remembers_a_bounded_number_of_names(self, clock: _Seconds) -> None:
        throttle = LoginThrottle(clock)
        for number in range(10_000):
            throttle.begin(f"name {number}", f"10.{number >> 8}.{number & 255}.1")
        assert throttle.failures("name 0") == 0
        assert throttle.failures("name 9999") == 1


class TestLoggingInOverAndOver:
    @pytest.fixture
    def door(self, client: orchlite.Client, api_of: Callable[..., Any]) -> Any:
        return api_of(client, accounts=Accounts([_JANE]))

    def _log_in(self, door: Any, password: str, username: str = "jane") -> httpx.Response:
        fields = {"grant_type": "password", "username": username, "password": password}
        answer: httpx.Response = door.request("POST", _LOGIN, token=None, data=fields)
        return answer

    def test_is_refused_for_a_while_also_with_the_right_password(self, door: Any, refused: Any) -> None:
        answers = [self._log_in(door, f"guess {number}") for number in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 429]
        assert answers[-1].headers["retry-after"] == "1"
        assert refused(answers[-1], 429)["details"] == {"retry_after_seconds": 1}
        assert self._log_in(door, "correct horse").status_code == 429

    def test_is_logged_each_time_a_password_was_wrong(self, door: Any, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(5):
            self._log_in(door, "guess")
        self._log_in(door, "guess", username="no\nbody\x1b[31m" + "x" * 1000)
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 5
        assert "'jane' from 127.0.0.1" in warnings[0]
        assert "guess" not in caplog.text
        assert all(text.isprintable() and len(text) < 200 for text in warnings)

    def test_delays_neither_the_owner_nor_tokens_that_exist(self, door: Any) -> None:
        tokens = self._log_in(door, "correct horse").json()
        while self._log_in(door, "guess").status_code != 429:
            pass
        assert door.request("POST", "/v1/api/workspaces/list", json={}).status_code == 200
        assert door.request("POST", "/v1/api/workspaces/list", token=tokens["access_token"], json={}).status_code == 200
        renewal = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert door.request("POST", _LOGIN, token=None, data=renewal).status_code == 200

    @pytest.mark.slow
    def test_at_once_checks_one_password_at_a_time_and_keeps_the_server_free(self, client: orchlite.Client) -> None:
        jane = _JANE._replace(password=hash_password("correct horse"))
        codes: list[int] = []
        with serve(client, port=0, accounts=[jane]) as server:

            def guess(number: int) -> None:
                fields = {"grant_type": "password", "username": f"name {number}", "password": "guess"}
                codes.append(httpx.post(server.url + _LOGIN, data=fields, trust_env=False, timeout=60).status_code)

            guesses = [threading.Thread(target=guess, args=(number,)) for number in range(40)]
            for one in guesses:
                one.start()
            headers = {"Authorization": f"Bearer {server.token}"}
            assert httpx.post(server.url + "/v1/api/workspaces/list", json={}, headers=headers, trust_env=False).status_code == 200
            for one in guesses:
                one.join()
        assert (len(codes), set(codes)) == (40, {401, 429})
        assert codes.count(401) <= 11  # the free failures of an address, and one that starts its delay

    def test_has_a_small_body(self, door: Any, refused: Any) -> None:
        assert refused(self._log_in(door, "x" * 5000), 413)["details"] == {"limit_bytes": 4096}


class TestMaskedConnections:
    _SECRET = "hunter2"

    @pytest.mark.parametrize(("connections", "password"), [("masked", "********"), ("shown", _SECRET)])
    def test_show_an_account_the_names_of_the_details_only(
        self, client: orchlite.Client, api_of: Callable[..., Any], connections: Any, password: str
    ) -> None:
        door = api_of(client, accounts=Accounts([_JANE._replace(connections=connections)]))
        connection_id = client.create_connection("db", "postgres", {"password": self._SECRET}).id()
        client.get_workspace("default", create_if_not_exist=True).add_connection("db")
        fields = {"grant_type": "password", "username": "jane", "password": "correct horse"}
        token = door.request("POST", _LOGIN, token=None, data=fields).json()["access_token"]

        def ask(path: str, **body: Any) -> Any:
            return door.request("POST", f"/v1/api/connections/{path}", token=token, json=body).json()

        found = [ask("get", name="db"), ask("get_by_id", id=connection_id), *ask("list")["connections"]]
        found += ask("list", workspace_id=1)["connections"]
        assert [one["details"] for one in found] == [{"password": password}] * 4
        owners = door.request("POST", "/v1/api/connections/get", json={"name": "db"}).json()
        assert owners["details"] == {"password": self._SECRET}

    @pytest.mark.parametrize("value", ['"hidden"', "true", '""', "null"])
    def test_are_spelt_exactly(self, tmp_path: Path, value: str) -> None:
        path = tmp_path / "accounts.json"
        path.write_text(f'[{{"username": "jane", "password": "{_CHEAP}", "connections": {value}}}]')
        path.chmod(0o600)
        with pytest.raises(BadArgument, match="cannot be used"):
            accounts_of_file(path)
