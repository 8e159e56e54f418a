"""The endpoint for inference, and that of its logs: what data looks like on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import orchlite
from tests.onnx_models import doubling, weighing

ARROW = "application/vnd.apache.arrow.file"
RECORDS = "application/json; format=pandas-records"
LIKE_THE_SDK = {"dataset[]": "*", "dataset.separator": "."}
SDK_2023 = {"User-Agent": "python-requests/2.31.0"}
_ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]]
_TOPIC = "/v1/logs/topic/workspace-1-pipeline-houses-inference/records"


def _file(table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _table(content: bytes) -> Any:
    return pa.ipc.open_file(content).read_all()


class Door:
    """A deployed pipeline, and the address that infers with it."""

    def __init__(self, api: Any, address: str) -> None:
        self.api = api
        self.address = address

    def send(
        self, body: Any, kind: str = RECORDS, headers: dict[str, str] | None = None, params: Any = MappingProxyType(LIKE_THE_SDK)
    ) -> Any:
        """Send data."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": kind, **(headers or {})}
        return self.api.request("POST", self.address, content=content, headers=headers, params=dict(params))

    def records(self, rows: list[list[float]] = _ROWS, **more: Any) -> list[dict[str, Any]]:
        """Send rows as records, and return those that come back."""
        response = self.send([{"tensor": row} for row in rows], **more)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()
        return found

    def logs(self, iterator: dict[str, Any] | None = None, headers: dict[str, str] | None = None, **params: Any) -> Any:
        """Read a page of the logs."""
        response = self.api.request("POST", _TOPIC, json=iterator or {}, params={**LIKE_THE_SDK, **params}, headers=headers)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == ARROW
        return _table(response.content)


def _status(table: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(table.schema.metadata[b"status"])
    return found


@pytest.fixture(scope="module")
def shared_door(shared_api: Any, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """The same as `door`, for tests that neither change it nor read its logs."""
    path = weighing(tmp_path_factory.mktemp("model") / "house.onnx", [1.0, 2.0, 3.0])
    return Door(shared_api, shared_api.deployed(shared_api.model(path)))


@pytest.fixture
def door(api: Any, tmp_path: Path) -> Door:
    """A deployed pipeline that weighs three numbers by 1, 2 and 3."""
    return Door(api, api.deployed(api.model(weighing(tmp_path / "house.onnx", [1.0, 2.0, 3.0]))))


class TestFormats:
    def test_records_come_back_as_records(self, shared_door: Door) -> None:
        first, second = shared_door.records()
        assert list(first) == ["time", "in.tensor", "out.variable", "anomaly.count"]
        assert (first["in.tensor"], first["out.variable"], second["out.variable"]) == ([1.0, 2.0, 3.0], [14.0], [33.5])
        assert abs(first["time"] / 1000 - datetime.now(UTC).timestamp()) < 60

    def test_a_table_comes_back_as_a_table(self, shared_door: Door) -> None:
        sent = pa.table({"tensor": pa.array(_ROWS, pa.list_(pa.float32(), 3)), "index": [7, 8]})
        response = shared_door.send(_file(sent), ARROW)
        assert (response.status_code, response.headers["content-type"]) == (200, ARROW)
        found = _table(response.content)
        assert found.column_names == ["time", "in.index", "in.tensor", "out.variable", "anomaly.count"]
        assert (found["out.variable"].to_pylist(), found["in.index"].to_pylist()) == ([[14.0], [33.5]], [7, 8])
        assert (found.schema.field("time").type, found.schema.field("in.tensor").type) == (pa.int64(), pa.list_(pa.float32(), 3))

    @pytest.mark.parametrize("kind", ["application/json", "application/json; format=wallaroo"])
    @pytest.mark.parametrize("body", [{"tensor": _ROWS}, [{"tensor": row} for row in _ROWS]], ids=["dictionary", "list"])
    def test_other_json_comes_back_as_outputs(self, shared_door: Door, kind: str, body: Any) -> None:
        assert shared_door.send(body, kind).json() == [{"variable": [14.0]}, {"variable": [33.5]}]

    def test_columns_are_chosen_in_the_address(self, shared_door: Door) -> None:
        params = {"dataset[]": ["time", "out", "metadata"], "dataset.exclude[]": ["metadata.elapsed"], "dataset.separator": "_"}
        (record,) = shared_door.records(_ROWS[:1], params=params)
        expected = ["time", "out_variable", *(f"metadata_{name}" for name in ("dropped", "last_model", "partition", "pipeline_version"))]
        assert list(record) == expected

    def test_without_a_separator_groups_are_nested(self, shared_door: Door) -> None:
        first, _ = shared_door.records(params={})
        assert list(first) == ["time", "in", "out", "anomaly", "metadata"]
        assert (first["in"], first["out"], first["anomaly"]) == ({"tensor": [1.0, 2.0, 3.0]}, {"variable": [14.0]}, {"count": 0})
        assert sorted(first["metadata"]) == ["dropped", "elapsed", "last_model", "partition", "pipeline_version"]
        (chosen,) = shared_door.records(_ROWS[:1], params={"dataset[]": ["out"]})
        assert chosen == {"out": {"variable": [14.0]}}

    def test_without_a_separator_groups_of_a_table_are_structs(self, shared_door: Door) -> None:
        sent = pa.table({"tensor": pa.array(_ROWS, pa.list_(pa.float32())), "index": [7, 8]})
        found = _table(shared_door.send(_file(sent), ARROW, params={"dataset[]": ["time", "in", "out"]}).content)
        assert found.drop_columns(["time"]).to_pylist() == [
            {"in": {"index": 7, "tensor": [1.0, 2.0, 3.0]}, "out": {"variable": [14.0]}},
            {"in": {"index": 8, "tensor": [4.0, 5.0, 6.5]}, "out": {"variable": [33.5]}},
        ]
        logged = _table(shared_door.api.request("POST", _TOPIC, json={}).content)
        assert logged.column_names == ["time", "in", "out", "anomaly", "metadata"]
        assert logged["out"].to_pylist() == [{"variable": [33.5]}, {"variable": [14.0]}]

    def test_infinity_and_nan_come_back_as_null(self, api: Any, tmp_path: Path) -> None:
        door = Door(api, api.deployed(api.model(doubling(tmp_path / "double.onnx"))))
        table = pa.table({"x": pa.array([[1e38, 3e38, 1.0]], pa.list_(pa.float32()))})
        assert _table(door.send(_file(table), ARROW).content)["out.y"].to_pylist()[0][1] == float("inf")
        (record,) = door.send([{"x": [1e38, 3e38, 1.0]}]).json()
        assert record["out.y"] == [2e38, None, 2.0]


class TestFor2023:
    def test_its_own_validations_list_the_rows_that_do_not_meet_them(self, api: Any, tmp_path: Path) -> None:
        model = api.model(weighing(tmp_path / "house.onnx", [1.0, 2.0, 3.0]))
        variable = {"node": "variable", "variant_id": {"name": model["name"]}, "position": "output", "key": [0, 0]}
        root = {"node": "binop", "op": "<", "left": variable, "right": {"node": "literal", "float": 20.0}}
        tree = json.dumps({"values": {"price": {"root": root, "required_data": []}}, "gauges": [], "validations": ["price"]})
        door = Door(api, api.deployed(model, more=[{"Check": {"tree": [tree]}}]))
        assert [record["check_failures"] for record in door.records(headers=SDK_2023)] == [[], ["price"]]

    def test_records_list_the_checks_that_failed(self, client: orchlite.Client, door: Door) -> None:
        pipeline = client.get_pipeline("houses").add_model_step(client.get_model("house"))
        pipeline.add_validations(big=pl.col("out.variable").list.get(0) > 20, small=pl.col("out.variable").list.get(0) < 20).deploy()
        first, second = door.records(headers=SDK_2023)
        assert list(first) == ["time", "in.tensor", "out.variable", "check_failures"]
        assert (first["check_failures"], second["check_failures"]) == (["small"], ["big"])
        assert [record["anomaly.big"] for record in door.records()] == [False, True], "other clients get a column for each"
        found = door.logs(headers={"User-Agent": "WallarooSDK/2023.2.1"})
        assert found.column_names == ["time", "in.tensor", "out.variable", "check_failures"]
        assert found["check_failures"].to_pylist()[:2] == [["big"], ["small"]]

    def test_a_column_of_checks_is_chosen_by_its_older_name(self, door: Door) -> None:
        (record,) = door.records(_ROWS[:1], headers=SDK_2023, params={"dataset[]": ["out", "check_failures"], "dataset.separator": "."})
        assert record == {"out.variable": [14.0], "check_failures": []}

    def test_nested_the_checks_are_beside_the_groups(self, door: Door) -> None:
        (record,) = door.records(_ROWS[:1], headers=SDK_2023, params={"dataset[]": ["*"]})
        assert list(record) == ["time", "in", "out", "check_failures"]
        assert record["check_failures"] == []

    def test_errors_come_in_a_list(self, door: Door) -> None:
        response = door.send([{"x": [1.0]}], headers=SDK_2023)
        (error,) = response.json()
        assert (response.status_code, error["error_type"], error["source"]) == (400, "BadData", "engine")

    @pytest.mark.slow
    @pytest.mark.parametrize(("compatibility", "column"), [("2023", "check_failures"), ("2026", "anomaly.count")])
    def test_the_server_may_say_who_asks(
        self, api_of: Callable[..., Any], client: orchlite.Client, door: Door, compatibility: str, column: str
    ) -> None:
        other = Door(api_of(client, compatibility=compatibility), door.address)
        assert column in other.records(headers=SDK_2023)[0]


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "kind", "error", "message"),
        [
            ([{"x": [1.0]}], RECORDS, "BadData", "Model 'house' needs the column 'tensor'; the data has 'x'."),
            ([{"tensor": [1.0]}], RECORDS, "BadData", "Column 'tensor' has one number a row"),
            ([], RECORDS, "BadData", ""),
            ({}, "application/json", "BadData", ""),
            (5, "application/json", "BadArgument", "The body is neither an object nor a list."),
            (5, "application/json; format=pandas-records", "BadArgument", "The body is neither an object nor a list."),
            (b"{", RECORDS, "BadArgument", "The body is not JSON"),
            (b"[NaN]", RECORDS, "BadArgument", "The body is not JSON"),
            (b"hello", ARROW, "BadData", "The body is no Arrow file"),
            (b"", ARROW, "BadData", "The body is no Arrow file"),
        ],
        ids=["column", "shape", "no records", "nothing", "number", "a number for records", "cut", "nan", "no arrow", "empty"],
    )
    def test_data_that_does_not_fit_is_refused_as_by_an_engine(
        self, shared_door: Door, body: Any, kind: str, error: str, message: str
    ) -> None:
        response = shared_door.send(body, kind)
        found = response.json()
        assert (response.status_code, found["code"], found["status"], found["source"]) == (400, 400, "Error", "engine")
        assert (found["kind"], found["error"][: len(message)]) == (error, message)

    @pytest.mark.parametrize("cut", [20, 200])
    def test_a_damaged_table_is_refused(self, shared_door: Door, cut: int) -> None:
        content = bytearray(_file(pa.table({"tensor": _ROWS})))
        del content[cut : cut + 8]
        assert shared_door.send(bytes(content), ARROW).json()["kind"] == "BadData"

    def test_what_is_not_deployed_is_not_found(self, door: Door, client: orchlite.Client) -> None:
        client.get_pipeline("houses").undeploy()
        response = door.send([{"tensor": _ROWS[0]}])
        assert (response.status_code, response.json()["error"][:33]) == (404, "Pipeline 'houses' is not deployed")

    @pytest.mark.parametrize("address", ["houses-9/houses", "houses/houses", "houses-1/others", "others-1/houses"])
    def test_an_address_must_name_both(self, shared_door: Door, address: str) -> None:
        response = Door(shared_door.api, f"/v1/api/pipelines/infer/{address}").send([{"tensor": _ROWS[0]}])
        assert (response.status_code, response.json()["kind"]) == (404, "NotFound")

    def test_a_model_that_fails_says_why(self, api: Any, tmp_path: Path) -> None:
        step = tmp_path / "step.py"
        step.write_text("def process_data(columns):\n    raise ValueError('no such street')\n")
        door = Door(api, api.deployed(api.model(step, "step", conversion={"framework": "python"})))
        response = door.send([{"tensor": _ROWS[0]}])
        assert (response.status_code, response.json()["kind"]) == (400, "InferenceFailed")
        assert "no such street" in response.json()["error"]


class TestLogs:
    def test_without_dates_the_newest_come_first(self, door: Door) -> None:
        for row in _ROWS:
            door.records([row])
        found = door.logs(page_size=100, order="desc")
        assert found["out.variable"].to_pylist() == [[33.5], [14.0]]
        assert (found.schema.field("time").type, _status(found)) == (pa.int64(), {"status": "All", "next": None})

    def test_pages_follow_each_other_even_within_one_inference(self, door: Door) -> None:
        for start in (0, 5):
            door.records([[float(start + number), 0.0, 0.0] for number in range(5)])
        seen: list[float] = []
        iterator: dict[str, Any] | None = {}
        statuses: list[str] = []
        while iterator is not None:
            page = door.logs(iterator, page_size=3)
            seen += [row[0] for row in page["in.tensor"].to_pylist()]
            statuses.append(_status(page)["status"])
            iterator = _status(page)["next"]
        assert seen == [float(number) for number in range(9, -1, -1)]
        assert statuses == ["RecordLimited", "RecordLimited", "RecordLimited", "All"]

    def test_dates_select_and_the_oldest_come_first(self, door: Door) -> None:
        for row in _ROWS:
            door.records([row])
        now = datetime.now(UTC)
        dates: dict[str, Any] = {"time.start": (now - timedelta(hours=1)).isoformat(), "time.end": (now + timedelta(hours=1)).isoformat()}
        first = door.logs(**dates, page_size=1)
        assert (first["out.variable"].to_pylist(), _status(first)["status"]) == ([[14.0]], "RecordLimited")
        assert door.logs(_status(first)["next"], **dates)["out.variable"].to_pylist() == [[33.5]]
        past: dict[str, Any] = {"time.start": (now - timedelta(hours=2)).isoformat(), "time.end": (now - timedelta(hours=1)).isoformat()}
        assert door.logs(**past).num_rows == 0
        response = door.api.request("POST", _TOPIC, json={}, params={"time.start": now.isoformat()})
        assert (response.status_code, response.json()["details"]["argument"]) == (400, "time.end")

    def test_a_change_of_columns_ends_a_page(self, door: Door, client: orchlite.Client, api: Any, tmp_path: Path) -> None:
        door.records(_ROWS[:1])
        api.deployed(api.model(weighing(tmp_path / "other.onnx", [1.0, 1.0, 1.0], target="other"), "other"))
        door.records(_ROWS[:1])
        newest = door.logs()
        assert (newest.column_names[2], _status(newest)["status"]) == ("out.other", "SchemaChange")
        oldest = door.logs(_status(newest)["next"])
        assert (oldest.column_names[2], oldest.num_rows, _status(oldest)["status"]) == ("out.variable", 1, "All")

    def test_failures_are_not_logged(self, door: Door) -> None:
        door.send([{"x": [1.0]}])
        assert door.logs().num_rows == 0
        response = door.api.request("POST", _TOPIC.replace("-inference", "-inference-failures"), json={})
        assert _status(_table(response.content)) == {"status": "All", "next": None}

    @pytest.mark.parametrize(
        ("topic", "details"),
        [
            ("model-house-inference", {"topic": "model-house-inference"}),
            ("workspace-1-pipeline-nothing-inference", {"pipeline_name": "nothing"}),
            ("x", {"topic": "x"}),
        ],
    )
    def test_another_topic_is_not_found(self, door: Door, refused: Callable[..., Any], topic: str, details: dict[str, str]) -> None:
        found = refused(door.api.request("POST", f"/v1/logs/topic/{topic}/records", json={}), 404)
        assert (found["kind"], found["details"]) == ("NotFound", details)

    def test_logs_are_those_of_every_process(self, door: Door, client: orchlite.Client) -> None:
        client.get_pipeline("houses").infer(pd.DataFrame({"tensor": _ROWS[:1]}))
        assert door.logs()["out.variable"].to_pylist() == [[14.0]]
