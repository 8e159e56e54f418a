"""Uploading models: a version is stored with its file, completely or not at all; what is no model is refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from orchlite import BadArgument, BadModel, Client, Closed, Limits, OrchliteError
from orchlite.core.model_records import ModelVersionRow
from orchlite.operations.context import Context
from orchlite.operations.model_upload import ModelUpload, receive

OpenClient = Callable[..., Client]

_IR_VERSION, _GRAPH = b"\x08\x09", b"\x3a\x05graph"
_ONNX = _IR_VERSION + _GRAPH
"""What the encoding of an ONNX model has at least: a version, and a graph of five bytes."""


@pytest.fixture
def context(client: Client) -> Context:
    return client._engine.context


def _upload(context: Context, source: bytes | Path = _ONNX, name: str = "ccfraud", framework: str = "onnx") -> ModelVersionRow:
    return receive(context, ModelUpload(source, 1, name, "model.onnx", framework, config={"tensor_fields": ["tensor"]}))


def _files(context: Context) -> list[str]:
    return sorted(path.name for path in context.folder.models.iterdir())


@pytest.mark.parametrize("is_file", [True, False])
def test_a_model_is_stored_with_its_file(context: Context, tmp_path: Path, is_file: bool) -> None:
    (tmp_path / "model.onnx").write_bytes(_ONNX)
    stored = _upload(context, tmp_path / "model.onnx" if is_file else _ONNX)
    assert (stored.sha, stored.size_bytes, stored.status) == (hashlib.sha256(_ONNX).hexdigest(), len(_ONNX), "ready")
    assert context.store.models.version(stored.model_version_id) == stored
    assert context.model_files.path(stored.sha).read_bytes() == _ONNX
    assert _files(context) == [stored.sha]


def test_the_same_name_again_is_a_new_version_and_the_same_bytes_are_stored_once(context: Context) -> None:
    first, second, third = _upload(context), _upload(context), _upload(context, _ONNX + b"\x28\x01")
    assert first.model_id == second.model_id == third.model_id
    assert len({first.version, second.version, third.version}) == 3
    assert _files(context) == sorted({first.sha, third.sha})
    assert context.store.models.newest_version(first.model_id) == third


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"no model", "is no ONNX model", id="text"),
        pytest.param(b'{"a": 1}', "is no ONNX model", id="JSON"),
        pytest.param(b"PK\x03\x04" + bytes(60), "no ONNX model", id="ZIP"),
        pytest.param(b"\x80\x04\x95" + bytes(60), "no ONNX model", id="pickle"),
        pytest.param(_IR_VERSION, "it has no graph", id="no graph"),
        pytest.param(_ONNX[:-1], "is truncated", id="truncated in the graph"),
        pytest.param(_ONNX[:3], "is truncated", id="truncated in a length"),
        pytest.param(b"\x38\x05" + _GRAPH, "is no ONNX model", id="a graph of another type"),
        pytest.param(b"\xff" * 20, "is no ONNX model", id="an endless number"),
        pytest.param(b"\x3a" + b"\xff" * 9 + b"\x7f", "is truncated", id="a length beyond all files"),
        pytest.param(b"\x08\x01" * 100_000 + _GRAPH, "is no ONNX model", id="too many fields"),
    ],
)
def test_a_file_that_is_no_onnx_model_is_refused(context: Context, content: bytes, problem: str) -> None:
    with pytest.raises(BadModel, match=f"The file of model 'ccfraud' .*{problem}") as refusal:
        _upload(context, content)
    assert refusal.value.details == {"model": "ccfraud"}
    assert (_files(context), context.store.models.all()) == ([], [])


def test_fields_of_later_versions_of_onnx_are_passed_over(context: Context) -> None:
    later = b"\xf2\x07\x01x" + b"\xf9\x07" + bytes(8) + b"\xfd\x07" + bytes(4) + b"\xf0\x07\x80\x01"
    assert _upload(context, _ONNX + later).size_bytes == len(_ONNX + later)


def test_a_python_step_is_a_source_or_a_zip(context: Context, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "step.zip", "w") as archive:
        archive.writestr("step.py", "def process_data(data): return data")
    assert _upload(context, tmp_path / "step.zip", framework="python").framework == "python"
    assert _upload(context, b"def process_data(data): return data", framework="python").framework == "python"
    with pytest.raises(BadModel, match=r"neither a ZIP nor Python source\. Upload a \.py with process_data"):
        _upload(context, b"\x7fELF\0\0", framework="python")
    with pytest.raises(BadModel, match="defines no function 'process_data'"):
        _upload(context, b"# A page about models", framework="python")


def test_a_zip_with_requirements_that_cannot_be_read_is_refused(context: Context, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "step.zip", "w") as archive:
        archive.writestr("requirements.txt", "-r more.txt")
    with pytest.raises(BadModel, match=r"requirements\.txt of model 'ccfraud', line 1: '-r more\.txt'"):
        _upload(context, tmp_path / "step.zip", framework="python")
    assert _files(context) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"def process_data(:\n", r"is neither a ZIP nor Python source: invalid syntax \(.*, line 1\)\. Upload"),
        (b"# coding: no-such-coding\ndef process_data(x): return x\n", "is neither a ZIP nor Python source"),
    ],
)
def test_a_source_that_can_be_no_step_is_refused(context: Context, source: bytes, message: str) -> None:
    with pytest.raises(BadModel, match=message):
        _upload(context, source, framework="python")


def test_a_source_too_deep_for_the_parser_is_left_to_the_import(context: Context) -> None:
    assert _upload(context, b"def process_data(x): return " + b"-" * 100_000 + b"1", framework="python").framework == "python"


def test_other_frameworks_are_refused(context: Context) -> None:
    with pytest.raises(BadArgument, match=r"framework is 'xgboost'.*Export the model to ONNX"):
        _upload(context, framework="xgboost")


@pytest.mark.parametrize("name", ["", "1st", "a_b", "a-", "a b", "x" * 64, "ä"])
def test_names_that_the_platform_refuses_are_refused(context: Context, name: str) -> None:
    with pytest.raises(BadArgument, match="It takes a letter, then letters, digits and dashes"):
        _upload(context, name=name)
    assert _upload(context, name="A-1").name == "A-1"
    assert _upload(context, name="x" * 63).name == "x" * 63


def test_a_model_above_the_limit_is_refused_before_it_is_copied(open_client: OpenClient, tmp_path: Path) -> None:
    context = open_client(limits=Limits(model_bytes=8))._engine.context
    with pytest.raises(BadModel, match=r"9 B; the limit is 8 B\. Use a smaller model, or raise Limits\.model_bytes"):
        _upload(context)
    assert _files(context) == []


@pytest.mark.parametrize(("name", "reason"), [("absent", "No such file"), ("folder", "not a regular file")])
def test_a_path_without_a_file_is_refused(context: Context, tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadArgument, match=f"The model '.*{name}' cannot be read: .*{reason}"):
        _upload(context, tmp_path / name)


def test_a_closed_store_stores_no_file(tmp_path: Path) -> None:
    client = Client(tmp_path / "store")
    client.close()
    with pytest.raises(Closed):
        _upload(client._engine.context)
    assert _files(client._engine.context) == []


def test_a_large_model_is_not_read_into_memory(context: Context, tmp_path: Path) -> None:
    path, size_bytes = tmp_path / "large.onnx", 64 * 2**20
    with path.open("wb") as file:
        file.write(_IR_VERSION + b"\x3a" + _varint(size_bytes))
        file.seek(size_bytes, os.SEEK_CUR)
        file.truncate()
    before = _peak_bytes()
    stored = _upload(context, path)
    assert stored.size_bytes == path.stat().st_size
    assert _peak_bytes() - before < 2**25
    os.truncate(path, stored.size_bytes - 1)
    with pytest.raises(OrchliteError, match="is truncated"):
        _upload(context, path)


def _varint(value: int) -> bytes:
    digits = [value >> shift & 0x7F for shift in range(0, value.bit_length(), 7)]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def _peak_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
