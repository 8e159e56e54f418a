"""The real, unmodified SDK uploads models, deploys, infers and reads logs against this server, with a task in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchlite import rest
from tests.acceptance.sdk.conftest import Run, printed
from tests.acceptance.sdk.real_sdk import SDK_2023, SDK_2026

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with models."""
    from tests.onnx_models import weighing

    folder = tmp_path / "models"
    folder.mkdir()
    weighing(folder / "house.onnx", [1.0, 2.0, 3.0])
    weighing(folder / "twin.onnx", [10.0, 20.0, 30.0])
    (folder / "text.onnx").write_text("hello")
    return folder


_ROWS, _RESULTS, _OUTPUTS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]], [[14.0], [33.5]], [{"variable": [14.0]}]
_UNDEPLOYED = "EntityNotFoundError: Deployment not found not found: {'name': 'houses'}"
_MORE_LOGS = "Warning: There are more logs available. Please set a larger limit or request a file using export_logs."
_METADATA = ["dropped", "elapsed", "last_model", "partition", "pipeline_version"]
_NO_MODEL = "The file of model 'text' is no ONNX model."
_ANOTHER_FRAMEWORK = "framework is 'tensorflow', whose models orchlite does not run."
_ANOTHER_COLUMN = "Model 'house' needs the column 'tensor'; the data has 'x'."
_ANOTHER_SHAPE = "Column 'tensor' has 2 numbers a row, and model 'house' needs 3 numbers."
_NOT_DEPLOYED = "Pipeline 'houses' is not deployed."


def _same_facts(checks: str, kind_of_checks: str) -> dict[str, Any]:
    """Return what both versions see; `checks` is the name of the column that counts the validations that a row fails."""
    columns = ["time", "in.tensor", "out.variable", checks]
    kinds = ["timestamp[ms]", "list<item: float>", "list<inner: float not null>", kind_of_checks]
    return {
        "model": {
            "house": ["house", "ready", "house.onnx", [], ["tensor"], "onnx"],
            "sha is that of the bytes": True,
            "a bad name": "InvalidNameError",
        },
        "pipeline": {
            "before": ["[]", {"status": "Pipeline houses is not deployed"}, "RuntimeError: Pipeline {self.name} is not deployed"],
            "steps": ["house"],
            "status": ["Running", "Running", "Running"],
            "models": ["house"],
            "deployed": [True, 1],
            "configuration": ["house"],
        },
        "inferences": {
            "frame": [columns, ["datetime64[ns]", "object", "object", "int64"], _ROWS, _RESULTS],
            "table": [columns, kinds, _RESULTS],
            "one time": True,
            "dictionary": _OUTPUTS,
            "list": _OUTPUTS,
            "file of records": _RESULTS,
            "file of Arrow": _RESULTS,
            "file of JSON": _OUTPUTS,
            "another type": "TypeError",
        },
        "in parallel": {"frame": _RESULTS, "table": _RESULTS},
        "logs": {
            "newest": [columns, [[33.5], [14.0]], _MORE_LOGS],
            "between dates": [17, _RESULTS, True, ""],
            "as a table": kinds,
            "metadata": [f"metadata.{name}" for name in _METADATA],
            "before": 0,
            "one date": "Exception: Please provide both start datetime and end datetime together.",
            "failures": 0,
            "exported": True,
        },
        "task": {"run": ["success", ["stdout F [6.0]"]], "after": _UNDEPLOYED, "logged": [[[1.0, 1.0, 1.0]], [[6.0]]]},
        "redeployed": {
            "steps": ["[]", False],
            "inferred": _RESULTS,
            "without steps": "KeyError: 'steps'",
            "unknown": "EntityNotFoundError: Pipeline not found: {'pipeline_name': 'nowhere'}",
        },
        "experiments": {
            "shadow": [_RESULTS, [[140.0], [335.0]]],
            "logs after the change": [2, True],
            "split": ["time", "in.tensor", "out._model_split", "out.variable", checks],
            "undeployed": _UNDEPLOYED,
        },
        "lists": {
            "models": [["house", "1"], ["twin", "1"]],
            "pipelines": [["empty", "(unknown)"], ["houses", "False"]],
            "of the workspace": [["house", "twin"], ["empty", "houses"]],
            "counted": [["2", "2"]],
            "found": "house",
            "another version": "EntityNotFoundError",
            "tags": [],
        },
    }


def _refusals(facts: dict[str, Any]) -> list[str]:
    """Take the texts of refusals out of the facts."""
    names = [("model", "no model"), ("model", "another framework"), ("inferences", "another column"), ("inferences", "another shape")]
    before = facts["task"].pop("before")
    assert before[0] == _UNDEPLOYED
    return [*(facts[part].pop(name) for part, name in names), before[1]]


def test_models_with_the_sdk_of_2026(server: rest.Server, run: Run, folder: Path) -> None:
    facts = printed(run(SDK_2026, "-m", "model_life_2026", str(folder), variables=server.environment()))
    said = [*(f"ModelUploadError: Model failed to upload: [400] {text}" for text in (_NO_MODEL, _ANOTHER_FRAMEWORK))]
    said += [f"InferenceError: Inference failed: [400] {text}" for text in (_ANOTHER_COLUMN, _ANOTHER_SHAPE)]
    said += [f"InferenceError: Inference failed: [404] {_NOT_DEPLOYED}"]
    refusals = _refusals(facts)
    assert [text[: len(start)] for text, start in zip(refusals, said, strict=True)] == said
    assert all(text.endswith("(source: engine, status: Error)") for text in refusals[2:])
    assert facts["inferences"].pop("chosen") == [["time", "out:variable", *(f"metadata:{name}" for name in _METADATA)], "house"]
    assert facts.pop("newer") == {
        "pipeline": ["houses", "default", "houses"],
        "no pipeline": "Exception: Pipeline nowhere not found in this workspace.",
        "no version": "Exception: Pipeline version none not found in this workspace.",
        "model": [True, "x86", "none", "default"],
        "no model": "Exception: Error: A model with the name nothing does not exist.",
        "in a workspace": ["houses"],
        "elsewhere": "EntityNotFoundError: Pipeline not found: {'pipeline_name': 'houses'}",
        "initiated": "Running",
        "inferred with the first steps": _RESULTS,
        "published": True,
    }
    assert facts.pop("validations") == {"large": [False, True], "count": [0, 1]}
    assert facts.pop("step") == {"status": "ready", "inferred": [[6.0], [15.5]]}
    assert facts == _same_facts("anomaly.count", "uint32")


def test_models_with_the_sdk_of_2023(server: rest.Server, run: Run, folder: Path) -> None:
    facts = printed(run(SDK_2023, "-m", "model_life_2023", str(folder), variables=server.environment()))
    said = ["HTTPError: 400 Client Error: Bad Request for url:"] * 2  # this version does not show what the server says
    said += [f"InferenceError: Inference failed: \n\tBadData: {text}" for text in (_ANOTHER_COLUMN, _ANOTHER_SHAPE)]
    said += [f"InferenceError: Inference failed: \n\tConflict: {_NOT_DEPLOYED}"]
    assert [text[: len(start)] for text, start in zip(_refusals(facts), said, strict=True)] == said
    chosen = [["time", "out:variable", *(f"metadata:{name}" for name in _METADATA), "check_failures"], "house"]
    assert facts["inferences"].pop("chosen") == chosen
    assert facts == _same_facts("check_failures", "int8")
