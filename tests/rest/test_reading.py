"""A read-only server: which requests it accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.routing import APIRoute

import orchlite
from orchlite.core.served_stores import run_token
from orchlite.rest.app import _ROUTERS
from orchlite.rest.reading import only_reads
from orchlite.testing import ManualClock, StubProcess

_TOKEN = "the-token-of-tests"
_CHANGE = """
connections/add_to_workspace connections/create connections/delete connections/remove_from_workspace
models/insert_model_config models/upload models/upload_and_convert
orchestration/delete_orchestrations orchestration/upload
pipelines/create pipelines/deploy pipelines/infer/{deployment}/{pipeline} pipelines/undeploy
task/kill task/pause task/run_continuously task/run_once task/run_scheduled
workspaces/add_user workspaces/create
"""


def test_every_endpoint_that_may_change_something_is_known() -> None:
    routes = [route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    endpoints = [(method, route.path) for route in routes for method in route.methods or ()]
    assert sorted(path for method, path in endpoints if not only_reads(method, path)) == [f"/v1/api/{path}" for path in _CHANGE.split()]


def test_what_changes_something_is_refused_and_what_reads_is_not(client: orchlite.Client, api_of: Callable[..., Any]) -> None:
    api = api_of(client, read_only=True)
    assert api.call("workspaces/list")["workspaces"] != []
    refused = api.post("workspaces/create", workspace_name="new")
    assert (refused.status_code, refused.json()["kind"]) == (403, "ReadOnly")
    assert [one.name() for one in client.list_workspaces()] == ["default"]


@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (90, 401)], ids=["in progress", "ended"])
def test_a_run_of_the_store_may_change_something_while_it_is_in_progress(
    clock: ManualClock, api_of: Callable[..., Any], smallest_bundle: bytes, seconds: float, status: int
) -> None:
    with orchlite.Client.temporary(clock=clock, process=StubProcess("success", 90)) as client:
        run = client.upload_orchestration(smallest_bundle).run_once().last_runs()[0]
        clock.advance(seconds=seconds)
        headers = {"Authorization": f"Bearer {run_token(_TOKEN, run.id())}", "Content-Type": "application/json"}
        api = api_of(client, read_only=True)
        created = api.request("POST", "/v1/api/workspaces/create", token=None, headers=headers, content='{"workspace_name": "new"}')
        assert created.status_code == status
