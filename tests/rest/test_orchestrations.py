"""The endpoints `orchestration/…`, as the platform's clients use them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from orchlite import Client

MakeBundle = Callable[[str | dict[str, str]], bytes]
_HELLO = "print('hello')"


def _left(client: Client) -> tuple[list[str], int]:
    """List the files of bundles and uploads, and count the orchestrations."""
    return sorted(path.name for path in (client.path() / "bundles").iterdir()), len(client.list_orchestrations())


class TestUpload:
    def test_is_accepted_with_an_id_and_becomes_ready(self, api: Any, client: Client, bundle: MakeBundle) -> None:
        content = bundle(_HELLO)
        response = api.upload(content, {"workspace_id": 1, "name": "greet"})
        assert (response.status_code, list(response.json())) == (202, ["id"])
        orchestration = client.get_orchestration_by_id(response.json()["id"]).wait()
        assert (orchestration.name(), orchestration.file_name()) == ("greet", "bundle.zip")
        assert orchestration.sha() == hashlib.sha256(content).hexdigest()
        assert _left(client) == ([f"{orchestration.sha()}.zip"], 1)

    @pytest.mark.parametrize("name", [None, "metadata"], ids=["no file name, as the SDK", "a file name, as the guide"])
    @pytest.mark.parametrize("order", [1, -1], ids=["file first", "metadata first"])
    def test_accepts_the_parts_in_any_order_with_or_without_file_names(
        self, api: Any, bundle: MakeBundle, name: str | None, order: int
    ) -> None:
        parts = [
            ("file", ("b.zip", bundle(_HELLO), "application/octet-stream")),
            ("metadata", (name, b'{"workspace_id": 1, "name": null}')),
        ]
        response = api.request("POST", "/v1/api/orchestration/upload", files=parts[::order])
        assert response.status_code == 202
        assert api.call("orchestration/get_by_id", id=response.json()["id"])["file_name"] == "b.zip"

    def test_a_file_without_a_name_gets_the_name_of_the_platform(self, api: Any, bundle: MakeBundle) -> None:
        head = b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"workspace_id": 1}\r\n'
        body = head + b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + bundle(_HELLO) + b"\r\n--b--\r\n"
        orchestration_id = _send(api, body).json()["id"]
        assert api.call("orchestration/get_by_id", id=orchestration_id)["file_name"] == "_"

    def test_goes_to_the_workspace_of_the_metadata(self, api: Any, client: Client, bundle: MakeBundle) -> None:
        workspace_id = client.create_workspace("other").id()
        orchestration_id = api.upload(bundle(_HELLO), {"workspace_id": workspace_id}).json()["id"]
        assert client.get_orchestration_by_id(orchestration_id).workspace_id() == workspace_id
        assert client.get_current_workspace().name() == "default"

    def test_may_name_a_base_image_of_its_own(self, api: Any, client: Client) -> None:
        program = "import importlib.util; print(importlib.util.find_spec('pytest'))"
        orchestration_id = api.orchestration(program, base_image="clean")
        assert str(client.get_orchestration_by_id(orchestration_id).run_once().wait(20).logs()) == "None\n"

    @pytest.mark.parametrize(
        ("metadata", "status", "argument"),
        [
            ({}, 400, "workspace_id"),
            ({"workspace_id": None}, 400, "workspace_id"),
            ({"workspace_id": "1"}, 400, "workspace_id"),
            ({"workspace_id": True}, 400, "workspace_id"),
            ({"workspace_id": 2**70}, 400, "workspace_id"),
            ({"workspace_id": 1, "name": "\0"}, 400, "name"),
            ({"workspace_id": 1, "name": 5}, 400, "name"),
            ({"workspace_id": 1, "base_image": "other"}, 400, "base_image"),
            ({"workspace_id": 1, "replace_pins": "host"}, 400, "replace_pins"),
            ([], 400, "the body"),
        ],
        ids=repr,
    )
    def test_invalid_metadata_is_refused_by_field(
        self, api: Any, client: Client, bundle: MakeBundle, refused: Any, metadata: object, status: int, argument: str
    ) -> None:
        found = refused(api.upload(bundle(_HELLO), metadata), status)
        assert (found["kind"], found["details"]["argument"]) == ("BadArgument", argument)
        assert _left(client) == ([], 0)

    def test_an_unknown_workspace_is_not_found(self, api: Any, client: Client, bundle: MakeBundle, refused: Any) -> None:
        assert refused(api.upload(bundle(_HELLO), {"workspace_id": 99}), 404)["details"] == {"workspace_id": 99}
        assert _left(client) == ([], 0)

    def test_a_bad_bundle_is_refused_as_in_python(self, api: Any, client: Client, bundle: MakeBundle, refused: Any) -> None:
        found = refused(api.upload(bundle({"../main.py": "print()"})), 400)
        assert (found["kind"], found["details"]["entry"]) == ("BadBundle", "../main.py")
        assert _left(client) == ([], 0)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "cut off"),
            (b"--b--\r\n", "no part 'file'"),
            (b"garbage", "not a multipart body"),
            (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nPK', "cut off"),
            (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nPK\r\n--b--\r\n', "no part 'metadata'"),
            (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nPK\r\n' * 2 + b"--b--\r\n", "two parts 'file'"),
            (b"--b\r\nContent-Disposition: form-data\r\n\r\nPK\r\n" * 101 + b"--b--\r\n", "more than 100 parts"),
            (b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n' + b" " * 70_000, "metadata has more than"),
        ],
        ids=["empty", "no parts", "garbage", "cut off", "no metadata", "two files", "many parts", "much metadata"],
    )
    def test_an_incomplete_body_stores_nothing(self, api: Any, client: Client, refused: Any, body: bytes, message: str) -> None:
        assert message in refused(_send(api, body), 400)["msg"]
        assert _left(client) == ([], 0)

    def test_a_file_over_the_limit_is_refused_while_it_arrives(self, tmp_path: Path, api_of: Any, refused: Any, bundle: MakeBundle) -> None:
        from orchlite import Limits

        with Client(tmp_path / "small", limits=Limits(upload_bytes=1000)) as small:
            found = refused(api_of(small).upload(b"x" * 1001), 413)
            assert (found["kind"], found["details"]) == ("BadBundle", {"limit_bytes": 1000})
            assert _left(small) == ([], 0)
            assert api_of(small).upload(bundle(_HELLO)).status_code == 202

    def test_a_body_of_another_type_is_refused(self, api: Any, refused: Any) -> None:
        found = refused(api.request("POST", "/v1/api/orchestration/upload", json={"workspace_id": 1}), 415)
        assert found["details"] == {"expected": "multipart/form-data"}

    @pytest.mark.parametrize(("length", "status"), [(256, 202), (257, 400), (5000, 400)])
    def test_a_boundary_has_256_characters_at_most(self, api: Any, client: Client, bundle: MakeBundle, length: int, status: int) -> None:
        boundary = "b" * length
        parts = (f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() for name in ("file", "metadata"))
        contents = (bundle(_HELLO), b'{"workspace_id": 1}')
        body = b"".join(b"--%b\r\n%b%b\r\n" % (boundary.encode(), *part) for part in zip(parts, contents, strict=True))
        response = _send(api, body + f"--{boundary}--\r\n".encode(), boundary)
        assert response.status_code == status, response.text
        assert status == 202 or _left(client) == ([], 0)


class TestReading:
    def test_an_orchestration_has_every_field_that_the_clients_need(self, api: Any, client: Client) -> None:
        orchestration_id = api.orchestration(name="greet")
        shown = api.call("orchestration/get_by_id", id=orchestration_id)
        known = client.get_orchestration_by_id(orchestration_id)
        assert {name: shown[name] for name in ("id", "workspace_id", "sha", "file_name", "name", "status")} == {
            "id": orchestration_id,
            "workspace_id": 1,
            "sha": known.sha(),
            "file_name": "bundle.zip",
            "name": "greet",
            "status": "ready",
        }
        assert datetime.fromisoformat(shown["created_at"]) == known.created_at()
        assert shown["created_at"].endswith("+00:00")
        assert len(shown["created_at"]) == len("2024-04-17T16:03:50.202818+00:00")
        assert datetime.fromisoformat(shown["updated_at"]) >= known.created_at()
        assert uuid.UUID(shown["task_id"])
        assert uuid.UUID(shown["owner_id"])
        assert (shown["created_by"], shown["file_size"] > 100, bool(shown["image_path"])) == (shown["owner_id"], True, True)

    @pytest.mark.slow
    def test_an_orchestration_in_error_has_a_reason(self, tmp_path: Path, api_of: Any, bundle: MakeBundle) -> None:
        with Client(tmp_path / "without", index_urls=[tmp_path.as_uri()]) as client:  # an empty index
            api = api_of(client)
            orchestration_id = api.upload(bundle({"main.py": _HELLO, "requirements.txt": "absent==1.0"})).json()["id"]
            api.until(lambda: api.call("orchestration/get_by_id", id=orchestration_id)["status"] == "error")
            assert api.call("orchestration/get_by_id", id=orchestration_id)["reason"]
            found = api.refusal(409, "task/run_once", orch_id=orchestration_id, workspace_id=1, json={})
            assert found["kind"] == "PackagingFailed"
            assert api.call("task/list") == []

    def test_a_list_has_the_orchestrations_of_one_workspace_oldest_first(self, api: Any, client: Client) -> None:
        ids = [api.orchestration(), api.orchestration()]
        workspace_id = client.create_workspace("other").id()
        api.orchestration(workspace_id=workspace_id)
        listed = api.call("orchestration/list", workspace_id=1)
        assert [one["id"] for one in listed] == ids
        assert listed[0] == api.call("orchestration/get_by_id", id=ids[0])
        assert api.refusal(404, "orchestration/list", workspace_id=99)["details"] == {"workspace_id": 99}

    def test_all_are_listed_with_workspace_and_tasks(self, api: Any, client: Client) -> None:
        workspace_id = client.create_workspace("other").id()
        first, second = api.orchestration(), api.orchestration(workspace_id=workspace_id)
        task = api.task(first)
        everything = api.call("orchestration/list_all", workspace_ids=[], task_run_status=[])["orchestrations"]
        assert [one["orchestration"]["id"] for one in everything] == [first, second]
        assert [one["workspace"]["name"] for one in everything] == ["default", "other"]
        assert set(everything[0]["workspace"]) >= {"id", "name", "created_at", "archived"}
        assert [one["id"] for one in everything[0]["tasks"]] == [task]
        assert everything[0]["tasks"] == [api.call("task/get_by_id", id=task)]
        assert everything[1]["tasks"] == []
        [one] = api.call("orchestration/list_all", workspace_ids=[workspace_id])["orchestrations"]
        assert one["orchestration"]["id"] == second

    def test_all_can_be_filtered_by_their_tasks(self, api: Any, client: Client) -> None:
        orchestration_id = api.orchestration()
        task = api.task(orchestration_id)

        def tasks(**fields: Any) -> list[str]:
            [one] = api.call("orchestration/list_all", **fields)["orchestrations"]
            return [task["id"] for task in one["tasks"]]

        created_at = client.get_task_by_id(task).created_at()
        around = [(created_at - timedelta(hours=1)).isoformat(), (created_at + timedelta(hours=1)).isoformat()]
        before = [(created_at - timedelta(hours=2)).isoformat(), around[0]]
        assert tasks(task_run_status=["success", "failure"], time_range=around) == [task]
        assert tasks(task_run_status=["failure"]) == []
        assert tasks(time_range=before) == []
        client.get_task_by_id(task).kill()
        assert (tasks(), tasks(killed=False), tasks(killed=None), tasks(killed=True)) == ([], [], [], [task])

    @pytest.mark.parametrize(
        ("fields", "argument"),
        [
            ({"workspace_ids": 1}, "workspace_ids"),
            ({"task_run_status": ["odd"]}, "task_run_status"),
            ({"time_range": ["2024-01-01T00:00:00Z"]}, "time_range"),
            ({"time_range": ["2024-01-01T00:00:00", "2024-01-01T00:00:00Z"]}, "time_range.0"),
        ],
        ids=repr,
    )
    def test_a_list_of_all_refuses_invalid_fields(self, api: Any, fields: dict[str, Any], argument: str) -> None:
        assert api.refusal(400, "orchestration/list_all", **fields)["details"]["argument"] == argument


class TestDownload:
    def test_returns_the_uploaded_bytes(self, api: Any, bundle: MakeBundle) -> None:
        content = bundle({"main.py": _HELLO, "data": "x" * 3_000_000})
        orchestration_id = api.upload(content).json()["id"]
        response = api.request("GET", "/v1/api/orchestration/download", params={"id": orchestration_id})
        assert (response.status_code, response.content) == (200, content)
        assert response.headers["content-length"] == str(len(content))
        assert response.headers["content-disposition"] == "attachment; filename*=utf-8''bundle.zip"

    def test_accepts_the_token_in_the_address_as_the_sdk_sends_it(self, api: Any) -> None:
        orchestration_id = api.orchestration()
        address = {"id": orchestration_id, "token": "the-token-of-tests"}
        assert api.request("GET", "/v1/api/orchestration/download", params=address, token=None).status_code == 200
        address["token"] = "wrong"
        assert api.request("GET", "/v1/api/orchestration/download", params=address, token=None).status_code == 401

    def test_a_file_name_is_escaped_in_the_header(self, api: Any, bundle: MakeBundle) -> None:
        name = 'a";x="ü%.zip'
        parts = [("file", (name, bundle(_HELLO))), ("metadata", (None, '{"workspace_id": 1}'))]
        orchestration_id = api.request("POST", "/v1/api/orchestration/upload", files=parts).json()["id"]
        response = api.request("GET", "/v1/api/orchestration/download", params={"id": orchestration_id})
        as_sent = name.replace('"', "%22")  # as browsers escape a quote in a form
        assert response.headers["content-disposition"] == f"attachment; filename*=utf-8''{quote(as_sent)}"

    def test_the_header_never_names_a_path_or_a_hidden_file(self, api: Any, bundle: MakeBundle) -> None:
        parts = [("file", ("../.bashrc", bundle(_HELLO))), ("metadata", (None, '{"workspace_id": 1}'))]
        orchestration_id = api.request("POST", "/v1/api/orchestration/upload", files=parts).json()["id"]
        response = api.request("GET", "/v1/api/orchestration/download", params={"id": orchestration_id})
        assert response.headers["content-disposition"] == "attachment; filename*=utf-8''bashrc.zip"

    def test_of_a_missing_orchestration_is_not_found(self, api: Any, refused: Any) -> None:
        missing = refused(api.request("GET", "/v1/api/orchestration/download", params={"id": str(uuid.uuid4())}), 404)
        assert "orchestration" in missing["msg"]
        assert refused(api.request("GET", "/v1/api/orchestration/download"), 400)["details"] == {"argument": "id"}


class TestDelete:
    def test_removes_orchestrations_with_their_tasks(self, api: Any, client: Client) -> None:
        ids = [api.orchestration("print(1)"), api.orchestration("print(2)"), api.orchestration("print(2)")]
        task = api.task(ids[0])
        sizes = [api.call("orchestration/get_by_id", id=one)["file_size"] for one in ids]
        freed = api.call("orchestration/delete_orchestrations", orchestrations=ids, confirm_delete=True)
        assert freed == {"bytes": sizes[0] + sizes[1]}, "the same bytes are stored, and freed, once"
        assert _left(client) == ([], 0)
        api.refusal(404, "task/get_by_id", id=task)

    def test_without_confirmation_only_counts(self, api: Any, client: Client) -> None:
        orchestration_id = api.orchestration()
        counted = api.call("orchestration/delete_orchestrations", orchestrations=[orchestration_id], confirm_delete=False)
        assert counted["bytes"] > 0
        assert client.get_orchestration_by_id(orchestration_id).status() == "ready"
        assert api.call("orchestration/delete_orchestrations", orchestrations=[orchestration_id], confirm_delete=None) == counted
        assert client.list_orchestrations() == []

    def test_a_missing_one_keeps_the_others(self, api: Any, client: Client) -> None:
        orchestration_id = api.orchestration()
        api.refusal(404, "orchestration/delete_orchestrations", orchestrations=[orchestration_id, str(uuid.uuid4())])
        assert len(client.list_orchestrations()) == 1

    def test_one_with_an_active_task_keeps_the_others(self, api: Any, client: Client) -> None:
        idle, busy = api.orchestration(), api.orchestration()
        task = client.get_orchestration_by_id(busy).run_scheduled("nightly", "0 0 1 1 *")
        found = api.refusal(409, "orchestration/delete_orchestrations", orchestrations=[idle, busy])
        assert found["details"]["task_ids"] == [task.id()]
        assert len(client.list_orchestrations()) == 2


def test_the_openapi_document_describes_an_upload(api: Any) -> None:
    document = json.loads(api.request("GET", "/openapi.json").content)
    schema = document["paths"]["/v1/api/orchestration/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["required"] == ["file", "metadata"]


def _send(api: Any, body: bytes, boundary: str = "b") -> Any:
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return api.request("POST", "/v1/api/orchestration/upload", content=body, headers=headers)
