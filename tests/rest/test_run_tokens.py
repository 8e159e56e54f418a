"""Programs that tasks run reach the server of their store, by its address and with tokens of their own."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite.rest import serve
from tests.onnx_models import weighing

ASKING = """
import json, urllib.request
import wallaroo

wl = wallaroo.Client()
headers = {**wl.auth.auth_header(), "Content-Type": "application/json"}
request = urllib.request.Request(f"{wl.api_endpoint}/v1/api/workspaces/list", data=b"{}", headers=headers)
with urllib.request.urlopen(request) as response:
    print([one["name"] for one in json.load(response)["workspaces"]])
print(headers["Authorization"])
"""


def listed(url: str, authorization: str) -> Any:
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/api/workspaces/list", b"{}", headers)) as response:
        return json.load(response)["workspaces"]


def test_a_program_asks_its_store_with_a_token_that_ends_with_its_run(client: orchlite.Client, folder: Callable[..., Path]) -> None:
    with serve(client, port=0) as server:
        run = client.run(folder(ASKING), timeout=60).raise_for_failure()
        names, authorization = [line.text for line in run.logs()]
        assert names == "['default']"
        assert server.token not in authorization
        with pytest.raises(urllib.error.HTTPError) as caught:
            listed(server.url, authorization)
        assert caught.value.code == 401
        caught.value.close()
        assert listed(server.url, f"Bearer {server.token}")


INFERRING = """
import json, urllib.request
import wallaroo

wl = wallaroo.Client()
pipeline = wl.get_pipeline("sums").deploy()
headers = {**wl.auth.auth_header(), "Content-Type": "application/json; format=pandas-records"}
records = json.dumps([{"tensor": [1.0, 2.0]}]).encode()
request = urllib.request.Request(pipeline.url() + "?dataset.separator=.", data=records, headers=headers)
with urllib.request.urlopen(request) as response:
    [record] = json.load(response)
print(record["out.variable"])
pipeline.undeploy()
"""


@pytest.mark.slow
def test_a_program_infers_by_the_address_of_a_pipeline(client: orchlite.Client, folder: Callable[..., Path], tmp_path: Path) -> None:
    model = client.upload_model("sums", weighing(tmp_path / "sums.onnx", [1.0, 1.0]))
    client.build_pipeline("sums").add_model_step(model).deploy().undeploy()
    with serve(client, port=0):
        run = client.run(folder(INFERRING), timeout=60).raise_for_failure()
    assert str(run.logs()) == "[3.0]\n"


SWALLOWING = """
import wallaroo

wl = wallaroo.Client()
try:
    wl.auth.auth_header()
except:
    print(wl.api_endpoint)
"""


def test_where_nothing_serves_the_store_a_program_is_told_how_to(client: orchlite.Client, folder: Callable[..., Path]) -> None:
    run = client.run(folder(SWALLOWING), timeout=60)
    hint = "it needs a server of this store, and none is running: start one with `orchlite serve`."
    assert run.status() == "failure"
    assert f"orchlite: Client.auth.auth_header: {hint}" in str(run.logs())
    assert f"NotImplementedError: Client.api_endpoint: {hint}" in str(run.logs())
