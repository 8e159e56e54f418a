"""What a program on a node can do with its clients: read what was sent with it, and nothing that needs the store of the host."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import orchlite
from tests.node.conftest import Node

MakeJob = Callable[..., Any]

_TRIES = """
import os, traceback
import orchlite, wallaroo, wallaroo.framework
from orchlite import StoreElsewhere

wl, sdk = orchlite.Client(), wallaroo.Client()
CALLS = [line.strip() for line in '''{calls}'''.strip().splitlines()]
for call in CALLS:
    try:
        print(call, "->", eval(call))
    except StoreElsewhere:
        print(call, "-> StoreElsewhere")
    except Exception as error:
        traceback.print_exc()
        print(call, "->", repr(error))
"""


@pytest.fixture
def tried(node: Node, job: MakeJob) -> Callable[[str], dict[str, str]]:
    """Evaluate each line on a node; return what came out, by line."""

    def evaluate(calls: str, **options: Any) -> dict[str, str]:
        report = node.run(job({"main.py": _TRIES.format(calls=calls), "data.csv": "1"}, **options))
        assert report.result["status"] == "success", str(report)
        return dict(text.split(" -> ", 1) for text in report.texts if " -> " in text)

    return evaluate


def test_connections_and_the_workspace_work_as_at_home(client: orchlite.Client, tried: Callable[[str], dict[str, str]]) -> None:
    client.create_connection("bank", "http", {"token": "t"})
    client.create_connection("unlisted", "http", {})
    client.get_current_workspace().add_connection("bank")

    assert tried(
        """
        wl.get_connection("bank").details()
        [connection.name() for connection in wl.list_connections()]
        wl.get_current_workspace().name()
        [connection.name() for connection in wl.get_current_workspace().list_connections()]
        sdk.get_connection("bank").details()
        sdk.get_connection(name="bank").connection_type()
        sdk.get_current_workspace().name()
        sdk.get_workspace("default").id()
        [connection.name() for connection in sdk.get_current_workspace().list_connections()]
        (sdk.in_task(), sdk.task_args(), wallaroo.in_task())
        """
    ) == {
        'wl.get_connection("bank").details()': "{'token': 't'}",
        "[connection.name() for connection in wl.list_connections()]": "['bank']",
        "wl.get_current_workspace().name()": "default",
        "[connection.name() for connection in wl.get_current_workspace().list_connections()]": "['bank']",
        'sdk.get_connection("bank").details()': "{'token': 't'}",
        'sdk.get_connection(name="bank").connection_type()': "http",
        "sdk.get_current_workspace().name()": "default",
        'sdk.get_workspace("default").id()': "1",
        "[connection.name() for connection in sdk.get_current_workspace().list_connections()]": "['bank']",
        "(sdk.in_task(), sdk.task_args(), wallaroo.in_task())": "(True, {}, True)",
    }


@pytest.mark.slow
def test_everything_else_says_that_the_store_is_elsewhere(tried: Callable[[str], dict[str, str]]) -> None:
    calls = """
        wl.get_connection("unlisted")
        wl.create_connection("new", "http", {})
        wl.get_workspace("other")
        wl.get_workspace("other", create_if_not_exist=True)
        wl.create_workspace("other")
        wl.list_orchestrations()
        wl.list_tasks()
        wl.get_task_by_id("0" * 36)
        wl.get_task_run_by_id("0" * 36)
        wl.get_orchestration("anything")
        wl.upload_orchestration(path=".")
        wl.run(".")
        wl.upload_model("model", "data.csv")
        wl.list_models()
        wl.list_pipelines()
        wl.build_pipeline("pipeline")
        wl.start()
        wl.backup(os.environ["HOME"] + "/copy")
        wl.check()
        wl.events()
        sdk.get_connection("unlisted")
        sdk.create_connection("new", "http", {})
        sdk.get_workspace("other")
        sdk.get_workspace("other", create_if_not_exist=True)
        sdk.create_workspace("other")
        sdk.get_current_workspace().add_connection("unlisted")
        sdk.list_orchestrations()
        sdk.list_tasks()
        sdk.get_task_by_id("12345678-1234-1234-1234-123456789012")
        sdk.upload_orchestration(path="data.csv")
        sdk.upload_model("model", "data.csv", framework=wallaroo.framework.Framework.ONNX)
        sdk.list_models()
        sdk.list_pipelines()
        sdk.get_model("model")
        sdk.get_pipeline("pipeline")
        sdk.build_pipeline("pipeline")
    """

    found = tried(calls)

    assert {call: outcome for call, outcome in found.items() if outcome != "StoreElsewhere"} == {}
    assert len(found) == len(calls.split("\n")) - 2


def test_the_error_says_why_and_what_to_do(node: Node, job: MakeJob) -> None:
    report = node.run(job("import wallaroo; wallaroo.Client().list_tasks()"))

    assert report.result["exit_code"] == 1
    (message,) = [text for text in report.texts if "StoreElsewhere" in text]
    assert "node of a cluster" in message
    assert "Workspace.add_connection(name)" in message


@pytest.mark.slow
def test_a_task_of_another_workspace_has_its_connections(node: Node, client: orchlite.Client, job: MakeJob) -> None:
    client.create_connection("bank", "http", {})
    other = client.create_workspace("other")
    other.add_connection("bank")
    program = """
import orchlite, wallaroo
wl = orchlite.Client()
print([workspace.name() for workspace in wl.list_workspaces()])
print([connection.name() for connection in wl.get_workspace("other").list_connections()])
print([connection.name() for connection in wallaroo.Client().get_workspace("other").list_connections()])
"""

    placed = job(program, workspace_id=other.id())

    assert json.loads(placed.document)["task"]["workspace_id"] == other.id()
    assert node.run(placed).texts == ["['default', 'other']", "['bank']", "['bank']"]
