"""Connections: programs read them by name, and their details are shown only on request."""

from __future__ import annotations

import json
import logging
import math
import pickle
import sqlite3
import stat
import subprocess
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from orchlite import BadArgument, Client, Closed, Conflict, Connection, Limits, NotFound

OpenClient = Callable[..., Client]
MakeFolder = Callable[..., Path]

_SECRET = "hunter2"
_DETAILS = {"host": "db.example.org", "port": 5432, "password": _SECRET, "options": {"tls": True, "roots": [None, 1.5, "März 📈"]}}

_CREATES = """
import sys
from orchlite import Client, Conflict

client = Client(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    print(client.create_connection("warehouse", "sql", {"of": sys.argv[2]}).details()["of"])
except Conflict:
    print("conflict")
client.close(drain=False)
"""


def test_one_is_found_as_it_was_created(client: Client) -> None:
    created = client.create_connection("warehouse", "sql", _DETAILS)
    assert (created.name(), created.connection_type(), created.details()) == ("warehouse", "sql", _DETAILS)
    assert created.created_at().tzinfo is UTC
    for found in (client.get_connection("warehouse"), client.get_connection_by_id(created.id()), *client.list_connections()):
        assert found == created
        assert (found.name(), found.connection_type(), found.details()) == ("warehouse", "sql", _DETAILS)
        assert found.created_at() == created.created_at()
    assert len({created, client.get_connection("warehouse")}) == 1


class TestReplacing:
    def test_gives_the_name_another_type_and_other_details(self, client: Client) -> None:
        created = client.create_connection("warehouse", "sql", _DETAILS)
        client.get_current_workspace().add_connection("warehouse")
        replaced = client.create_connection("warehouse", "file", {"path": "a"}, replace=True)
        assert (replaced.connection_type(), replaced.details()) == ("file", {"path": "a"})
        assert (replaced.id(), replaced.created_at(), replaced.workspace_names()) == (created.id(), created.created_at(), ["default"])
        assert client.list_connections() == [replaced]
        assert client.get_connection("warehouse").details() == {"path": "a"}
        assert created.details() == _DETAILS

    def test_creates_what_does_not_exist(self, client: Client) -> None:
        created = client.create_connection("warehouse", "sql", _DETAILS, replace=True)
        assert client.get_connection("warehouse").created_at() == created.created_at()

    def test_has_an_event_without_the_details(self, client: Client) -> None:
        for password in (_SECRET, "swordfish"):
            client.create_connection("warehouse", "sql", {"password": password}, replace=True)
        events = [event for event in client.events() if event.kind() == "connection"]
        assert [(event.became(), event.reason()) for event in events] == [
            ("created", "its name is 'warehouse'"),
            ("replaced", "its name is 'warehouse'"),
        ]

    def test_updates_of_stale_handles_keep_each_others_details(self, client: Client) -> None:
        first = client.create_connection("warehouse", "sql", _DETAILS)
        second = client.get_connection("warehouse")
        second.update({"port": 2}, connection_type="postgres")
        assert first.update({"host": "b"}).details() == {**_DETAILS, "host": "b", "port": 2}
        assert client.get_connection("warehouse").connection_type() == "postgres"

    def test_an_update_that_makes_the_details_too_large_changes_nothing(self, open_client: OpenClient) -> None:
        client = open_client(limits=Limits(details_bytes=20))
        created = client.create_connection("warehouse", "sql", {"a": "12345"})
        with pytest.raises(BadArgument, match="the limit is 20"):
            created.update({"b": "12345"})
        assert client.get_connection("warehouse").details() == {"a": "12345"}

    def test_takes_a_bool(self, client: Client) -> None:
        with pytest.raises(BadArgument, match="replace"):
            client.create_connection("warehouse", "sql", {}, replace="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "details"),
    [
        pytest.param(None, {}, id="none"),
        pytest.param({}, {}, id="empty"),
        pytest.param({"big": 10**400, "text": "\u2028'\"\\\n"}, {"big": 10**400, "text": "\u2028'\"\\\n"}, id="odd values"),
        pytest.param(OrderedDict(b=1, a=2), {"b": 1, "a": 2}, id="another mapping"),
        pytest.param({"a": (1, 2)}, {"a": [1, 2]}, id="a tuple becomes a list"),
    ],
)
def test_details_are_any_json_object(client: Client, given: Any, details: dict[str, Any]) -> None:
    client.create_connection("warehouse", "sql", given)
    assert client.get_connection("warehouse").details() == details


def test_details_are_a_copy_each_time(client: Client) -> None:
    given = {"hosts": ["a"]}
    connection = client.create_connection("warehouse", "sql", given)
    given["hosts"].append("b")
    connection.details()["hosts"].append("c")
    assert connection.details() == {"hosts": ["a"]}


def test_two_clients_see_the_same_ones(open_client: OpenClient) -> None:
    ours, theirs = open_client(), open_client()
    created = ours.create_connection("warehouse", "sql", _DETAILS)
    assert theirs.get_connection("warehouse").details() == _DETAILS
    with pytest.raises(Conflict, match="'warehouse' exists already"):
        theirs.create_connection("warehouse", "file", {})
    theirs.get_connection("warehouse").delete_connection()
    with pytest.raises(NotFound, match="'warehouse'"):
        ours.get_connection("warehouse")
    with pytest.raises(NotFound, match=created.id()):
        created.delete_connection()
    assert ours.list_connections() == []
    assert ours.create_connection("warehouse", "file", {}) != created


def test_a_later_client_finds_them(open_client: OpenClient) -> None:
    with open_client() as first:
        first.create_connection("warehouse", "sql", _DETAILS)
    assert open_client().get_connection("warehouse").details() == _DETAILS


def test_a_closed_client_creates_none(open_client: OpenClient) -> None:
    client = open_client()
    client.close()
    with pytest.raises(Closed):
        client.create_connection("warehouse", "sql", {})


@pytest.mark.slow
def test_a_name_that_several_processes_create_at_once_is_created_once(client: Client) -> None:
    command = [sys.executable, "-c", _CREATES, str(client.path())]
    hosts = [subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for number in range(4)]
    for host in hosts:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
    for host in hosts:
        assert host.stdin is not None
        host.stdin.write("now\n")
        host.stdin.flush()
    answers = sorted(host.communicate()[0].strip() for host in hosts)
    assert answers[1:] == ["conflict"] * 3
    assert [connection.details() for connection in client.list_connections()] == [{"of": answers[0]}]


def test_a_program_reads_them_and_leaves_no_copy(client: Client, folder: MakeFolder) -> None:
    client.create_connection("warehouse", "sql", _DETAILS)
    program = "import orchlite\nassert len(orchlite.Client().get_connection('warehouse').details()['password']) == 7"
    client.run(folder(program)).raise_for_failure()
    assert all(path.name.startswith("store.sqlite") for path in _files_with(client.path(), _SECRET))


class TestWorkspaces:
    def test_list_what_was_added_to_them(self, client: Client) -> None:
        connection = client.create_connection("warehouse", "sql", {})
        here, other = client.get_current_workspace(), client.create_workspace("other")
        assert here.list_connections() == []
        for workspace in (here, other, other):
            workspace.add_connection("warehouse")
        assert here.list_connections() == other.list_connections() == [connection]
        assert connection.workspace_names() == ["default", "other"]
        here.remove_connection("warehouse")
        here.remove_connection("warehouse")
        assert (here.list_connections(), other.list_connections()) == ([], [connection])
        assert client.get_connection("warehouse").workspace_names() == ["other"]

    def test_do_not_restrict_programs_of_other_workspaces(self, client: Client) -> None:
        client.create_connection("warehouse", "sql", {"a": 1})
        client.get_current_workspace().add_connection("warehouse")
        client.set_current_workspace(client.create_workspace("other"))
        assert client.get_connection("warehouse").details() == {"a": 1}

    @pytest.mark.parametrize("verb", ["add_connection", "remove_connection"])
    def test_refuse_a_name_that_does_not_exist(self, client: Client, verb: str) -> None:
        with pytest.raises(NotFound, match=r"'absent'.*list_connections\(\)") as refusal:
            getattr(client.get_current_workspace(), verb)("absent")
        assert refusal.value.details == {"name": "absent"}

    def test_do_not_list_what_was_deleted(self, client: Client) -> None:
        connection = client.create_connection("warehouse", "sql", {})
        client.get_current_workspace().add_connection("warehouse")
        connection.delete_connection()
        assert client.get_current_workspace().list_connections() == []


_NO_NAMES = {"empty": "", "blank": " ", "10 kB": "x" * 10_240, "NUL": "a\0b", "newline": "a\nb", "half a character": "\ud800"}
_NO_TEXTS = {"none": None, "number": 5, "bytes": b"x", "a type": str}
_NO_DETAILS = {
    "a list": [_SECRET],
    "a text": _SECRET,
    "bytes": _SECRET.encode(),
    "NaN": {_SECRET: math.nan},
    "infinite": {_SECRET: [math.inf]},
    "an object": {"a": _SECRET, "b": object()},
    "a set": {"a": {_SECRET}},
    "bytes inside": {"a": _SECRET.encode()},
    "a number as key": {1: _SECRET},
    "half a character": {"a": f"{_SECRET}\ud800"},
    "too large": {"a": _SECRET * 150_000},
    "too deep": json.loads('{"a": ' * 150 + f'"{_SECRET}"' + "}" * 150),
}

Call = Callable[[Client, Any], object]
_CALLS: dict[str, tuple[str, dict[str, Any], Call]] = {
    "create_connection(name)": ("name", {**_NO_NAMES, **_NO_TEXTS}, lambda client, bad: client.create_connection(bad, "sql", {})),
    "create_connection(connection_type)": (
        "connection_type",
        {**_NO_NAMES, **_NO_TEXTS},
        lambda client, bad: client.create_connection("warehouse", bad, {}),
    ),
    "create_connection(details)": ("details", _NO_DETAILS, lambda client, bad: client.create_connection("warehouse", "sql", bad)),
    "get_connection": ("name", {**_NO_NAMES, **_NO_TEXTS}, lambda client, bad: client.get_connection(bad)),
    "get_connection_by_id": ("connection_id", _NO_TEXTS, lambda client, bad: client.get_connection_by_id(bad)),
    "add_connection": ("name", _NO_TEXTS, lambda client, bad: client.get_current_workspace().add_connection(bad)),
    "remove_connection": ("name", _NO_TEXTS, lambda client, bad: client.get_current_workspace().remove_connection(bad)),
}


@pytest.mark.parametrize(
    ("argument", "bad", "call"),
    [
        pytest.param(argument, bad, call, id=f"{name}-{what}")
        for name, (argument, values, call) in _CALLS.items()
        for what, bad in values.items()
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_stored(client: Client, argument: str, bad: object, call: Call) -> None:
    with pytest.raises(BadArgument) as refusal:
        call(client, bad)
    assert refusal.value.details["argument"] == argument
    assert refusal.value.hint
    assert len(str(refusal.value)) < 500
    assert client.list_connections() == []
    assert client.events() == []


def test_the_limit_of_details_counts_bytes_and_can_be_set(open_client: OpenClient) -> None:
    client = open_client(limits=Limits(details_bytes=11))
    client.create_connection("fits", "sql", {"a": "xy"})
    with pytest.raises(BadArgument, match="details as JSON has 13 B; the limit is 11 B") as refusal:
        client.create_connection("too-large", "sql", {"a": "ää"})
    assert refusal.value.details["limit_bytes"] == 11


class TestSecrets:
    @pytest.fixture
    def connection(self, client: Client) -> Connection:
        connection = client.create_connection("warehouse", "sql", _DETAILS)
        client.get_current_workspace().add_connection("warehouse")
        return connection

    def test_are_in_files_that_only_this_account_can_read(self, client: Client, connection: Connection) -> None:
        files = _files_with(client.path(), _SECRET)
        assert files
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert all(path.name.startswith("store.sqlite") for path in files)
        assert stat.S_IMODE(client.path().stat().st_mode) == 0o700

    def test_are_in_one_column_of_the_store(self, client: Client, connection: Connection) -> None:
        with closing(sqlite3.connect(client.path() / "store.sqlite")) as store:
            [line] = [line for line in store.iterdump() if _SECRET in line]
        assert line.startswith('INSERT INTO "connections"')

    def test_are_masked_in_a_terminal(self, client: Client, connection: Connection) -> None:
        shown = f"{connection!r} {connection} {client.list_connections()!r} {vars(connection)!r}"
        assert "warehouse" in shown
        assert "********" in shown
        assert _SECRET not in shown
        assert "db.example.org" not in shown

    def test_are_masked_in_a_notebook(self, client: Client, connection: Connection) -> None:
        for shown in (connection, client.list_connections(), client.get_current_workspace().list_connections()):
            page = shown._repr_html_()
            assert "<td>warehouse</td><td>sql</td><td>********</td>" in page
            assert "<td>default</td>" in page
            assert _SECRET not in page
            assert "db.example.org" not in page

    def test_are_in_no_event(self, client: Client, connection: Connection) -> None:
        connection.delete_connection()
        events = client.events()
        assert [(event.kind(), event.object_id(), event.became()) for event in events] == [
            ("connection", connection.id(), "created"),
            ("connection", connection.id(), "deleted"),
        ]
        assert _SECRET not in events._repr_html_() + repr(events)

    def test_are_in_no_log(self, client: Client, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            client.create_connection("warehouse", "sql", _DETAILS).delete_connection()
        assert _SECRET not in caplog.text

    @pytest.mark.parametrize("details", _NO_DETAILS.values(), ids=_NO_DETAILS)
    def test_are_in_no_error(self, client: Client, details: Any) -> None:
        with pytest.raises(BadArgument) as refusal:
            client.create_connection("warehouse", "sql", details)
        self._check_silent(refusal.value)

    def test_are_in_no_conflict_error(self, client: Client, connection: Connection) -> None:
        with pytest.raises(Conflict) as refusal:
            client.create_connection("warehouse", "sql", _DETAILS)
        self._check_silent(refusal.value)

    def _check_silent(self, error: Exception) -> None:
        """Neither the error nor its cause contains a secret, here or pickled for another process."""
        shown = "".join(traceback.format_exception(error))
        again = pickle.loads(pickle.dumps(error))
        told = [shown, repr(error), str(error), repr(vars(error)), repr(error.__cause__), repr(error.__context__), repr(vars(again))]
        assert type(again) is type(error)
        assert [text for text in told if _SECRET in text] == []


def _files_with(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
