"""Models through the client: upload, look up, configure, list, delete."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite import BadArgument, BadModel, Client, Conflict, ModelVersion, NotFound

_ONNX = b"\x08\x09\x3a\x05graph"
Upload = Callable[..., ModelVersion]


class _Framework(enum.StrEnum):
    ONNX = "onnx"


class _Schema:
    def serialize(self) -> memoryview:
        return memoryview(b"schema")


@pytest.fixture
def upload(client: Client, tmp_path: Path) -> Upload:
    """Upload a model of this name; `unique` makes its bytes differ from others."""

    def call(name: str, *, unique: bytes = b"", **arguments: object) -> ModelVersion:
        path = tmp_path / "model.onnx"
        path.write_bytes(_ONNX + (b"\x32" + bytes([len(unique)]) + unique if unique else b""))
        return client.upload_model(name, path, **arguments)  # type: ignore[arg-type]

    return call


def test_an_uploaded_model_is_found_by_every_client(client: Client, upload: Upload) -> None:
    uploaded = upload("ccfraud", framework=_Framework.ONNX, arch="x86")
    assert (uploaded.name(), uploaded.framework(), uploaded.file_name(), uploaded.status()) == ("ccfraud", "onnx", "model.onnx", "ready")
    assert (uploaded.arch(), uploaded.accel(), uploaded.workspace_id(), len(uploaded.sha())) == ("x86", None, 1, 64)
    assert type(uploaded.framework()) is str
    with Client(client.path()) as other:
        found = other.get_model("ccfraud")
        assert (found.id(), found.version(), found.created_at()) == (uploaded.id(), uploaded.version(), uploaded.updated_at())


def test_the_newest_version_is_the_default(client: Client, upload: Upload) -> None:
    first, second = upload("ccfraud"), upload("ccfraud")
    assert client.get_model("ccfraud") == second
    assert client.get_model("ccfraud", version=first.version()) == first
    [model] = client.list_models()
    assert (model.name(), model.workspace_id(), model.created_at()) == ("ccfraud", 1, first.created_at())
    assert model.versions() == [second, first]


def test_schemas_are_taken_from_pyarrow_without_importing_it(client: Client, upload: Upload) -> None:
    uploaded = upload("ccfraud", input_schema=_Schema(), output_schema=b"bytes")
    row = client._engine.store.models.version(uploaded.id())
    assert (row.input_schema, row.output_schema) == (b"schema", b"bytes")


def test_a_version_is_configured_for_everyone(client: Client, upload: Upload) -> None:
    uploaded = upload("ccfraud")
    assert uploaded.tensor_fields() is None
    assert uploaded.configure(runtime="onnx", tensor_fields=["tensor"]) is uploaded
    assert client.get_model("ccfraud").tensor_fields() == ["tensor"]
    assert uploaded.configure().tensor_fields() is None


def test_models_belong_to_a_workspace(client: Client, upload: Upload) -> None:
    upload("ccfraud")
    client.set_current_workspace(client.create_workspace("other"))
    assert client.list_models() == []
    with pytest.raises(NotFound, match=r"no model named 'ccfraud' in workspace 'other'\. list_models\(\) shows"):
        client.get_model("ccfraud")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "a_b"}, "'a_b' is not a valid name"),
        ({"name": 1}, "name is of type int"),
        ({"framework": None}, "framework is of type NoneType"),
        ({"framework": "xgboost"}, "framework is 'xgboost'"),
        ({"input_schema": 1}, "input_schema is of type int"),
        ({"path": "absent.onnx"}, "cannot be read: No such file"),
        ({"arch": ""}, "arch has 0 characters"),
    ],
)
def test_a_bad_argument_is_named(client: Client, tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    (tmp_path / "model.onnx").write_bytes(_ONNX)
    with pytest.raises(BadArgument, match=message):
        client.upload_model(**{"name": "ccfraud", "path": tmp_path / "model.onnx", **arguments})  # type: ignore[arg-type]
    assert client.list_models() == []


@pytest.mark.parametrize("fields", ["tensor", ["a", "a"], [""], [1]])
def test_bad_tensor_fields_are_refused(upload: Upload, fields: object) -> None:
    with pytest.raises(BadArgument, match="tensor_fields"):
        upload("ccfraud").configure(tensor_fields=fields)  # type: ignore[arg-type]


def test_a_file_that_is_no_model_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"text")
    with pytest.raises(BadModel, match="is no ONNX model"):
        client.upload_model("ccfraud", tmp_path / "model.onnx")


def test_deleting_a_model_removes_the_files_that_no_other_shares(client: Client, upload: Upload) -> None:
    upload("first")
    other, unique = upload("second"), upload("second", unique=b"more")
    files = client.path() / "models"
    assert {path.name for path in files.iterdir()} == {other.sha(), unique.sha()}
    [first, second] = client.list_models()
    second.delete()
    assert {path.name for path in files.iterdir()} == {other.sha()}
    assert client.list_models() == [first]
    with pytest.raises(NotFound):
        second.delete()
    with pytest.raises(NotFound):
        unique.tensor_fields()
    first.delete()
    assert list(files.iterdir()) == []


def test_a_model_that_a_deployed_pipeline_uses_is_not_deleted(client: Client, upload: Upload) -> None:
    pipeline = client.build_pipeline("fraud").add_model_step(upload("ccfraud")).deploy()
    upload("ccfraud")
    [model] = client.list_models()
    with pytest.raises(Conflict, match=r"'ccfraud' is used by the deployed pipeline 'fraud'\. Undeploy the pipeline") as refusal:
        model.delete()
    assert refusal.value.details == {"pipelines": ["fraud"]}
    assert len(model.versions()) == 2
    pipeline.undeploy()
    model.delete()
    with pytest.raises(Conflict, match=r"'fraud' has a step with model 'ccfraud'.*which was deleted"):
        client.get_pipeline("fraud").deploy()
    assert client.check() == []


def test_models_display_as_tables(client: Client, upload: Upload) -> None:
    uploaded = upload("ccfraud")
    assert "<td>ccfraud</td><td>1</td>" in client.list_models()._repr_html_()
    assert f"<td>{uploaded.version()}</td>" in uploaded._repr_html_()
    assert f"<td>{uploaded.version()}</td>" in client.list_models()[0].versions()._repr_html_()
    assert repr(client.list_models()) == "[Model(id=1, name='ccfraud')]"
    assert repr(uploaded) == f"ModelVersion(name='ccfraud', version='{uploaded.version()}', framework='onnx')"
    assert len({uploaded, client.get_model("ccfraud"), client.list_models()[0]}) == 2
