"""Models as the SDK shows them: uploads, look-ups, versions, configuration, prints, and the errors of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchlite
import orchlite.sdk.wallaroo as wallaroo
from tests.onnx_models import weighing

ONNX = wallaroo.framework.Framework.ONNX
PYTHON = wallaroo.framework.Framework.PYTHON


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return weighing(tmp_path / "model.onnx", [1.0, 2.0, 3.0])


@pytest.fixture
def model(wl: Any, file: Path) -> Any:
    return wl.upload_model("houses", str(file), framework=ONNX)


class TestUploading:
    def test_a_file_becomes_a_version_of_a_model(self, wl: Any, model: Any) -> None:
        assert type(model) is wallaroo.model_version.ModelVersion
        assert (model.name(), model.status(), model.file_name(), type(model.id())) == ("houses", "ready", "model.onnx", int)
        assert len(model.sha()) == 64
        assert model.uid() == f"houses-{model.id()}"
        assert (model.arch(), model.accel(), model.image_path(), model.error_summary()) == ("x86", "none", None, None)
        assert (model.workspace(), model.config().runtime()) == (wl.get_current_workspace(), "onnx")

    def test_the_same_name_again_is_a_new_version(self, wl: Any, model: Any, file: Path) -> None:
        again = wl.upload_model("houses", file, ONNX)
        assert again.version() != model.version()
        assert (again.sha(), again.models_pk_id()) == (model.sha(), model.models_pk_id())
        assert wl.get_model("houses") == again
        assert [len(one.versions()) for one in wl.list_models()] == [2]

    def test_a_configuration_is_kept_and_replaced(self, wl: Any, model: Any) -> None:
        assert model.config().tensor_fields() is None
        assert model.configure(tensor_fields=["tensor"], batch_config="single") is model
        assert wl.get_model("houses").config().tensor_fields() == ["tensor"]
        assert model.configure("onnx", ["other"]).config().tensor_fields() == ["other"]

    def test_a_step_in_python_needs_schemas_and_waits_for_its_conversion(
        self, wl: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import pyarrow as pa

        step = tmp_path / "step.py"
        step.write_text("def process_data(data):\n    return data\n")
        schema = pa.schema([("tensor", pa.list_(pa.float32()))])
        with pytest.raises(Exception, match=r"^parameter 'input_schema' required for this framework$"):
            wl.upload_model("step", step, framework=PYTHON)
        with pytest.raises(Exception, match=r"^parameter 'output_schema' required for this framework$"):
            wl.upload_model("step", step, framework=PYTHON, input_schema=schema)
        made = wl.upload_model("step", step, framework=PYTHON, input_schema=schema, output_schema=schema)
        assert (made.status(), made.config().runtime()) == ("ready", "python")
        assert capsys.readouterr().out == "Waiting for model loading - this will take up to 10min.\nReady\n"
        wl.upload_model("step", step, framework=PYTHON, input_schema=schema, output_schema=schema, convert_wait=False)
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("framework", [None, "onnx", "ONNX"])
    def test_a_framework_is_one_of_the_enumeration(self, wl: Any, file: Path, framework: object) -> None:
        with pytest.raises(ValueError, match="framework must be a Framework Enum"):
            wl.upload_model("houses", file, framework=framework)

    def test_a_framework_that_orchlite_does_not_run_is_refused_by_name(
        self, wl: Any, file: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(NotImplementedError, match=r"Framework\.TENSORFLOW\) is not emulated"):
            wl.upload_model("houses", file, framework=wallaroo.framework.Framework.TENSORFLOW)
        assert "Framework.TENSORFLOW" in capsys.readouterr().err
        assert wl.list_models() == []

    @pytest.mark.parametrize("name", ["with_underscore", "1st", "end-", "a" * 64, ""])
    def test_a_bad_name_is_the_sdks_error(self, wl: Any, file: Path, name: str) -> None:
        with pytest.raises(wallaroo.object.InvalidNameError, match="DNS-compatible"):
            wl.upload_model(name, file, framework=ONNX)

    def test_a_file_that_cannot_be_read_is_pythons_error(self, wl: Any, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            wl.upload_model("houses", tmp_path / "absent.onnx", framework=ONNX)
        with pytest.raises(IsADirectoryError):
            wl.upload_model("houses", str(tmp_path), framework=ONNX)

    def test_an_accelerator_that_the_architecture_lacks_is_refused(self, wl: Any, file: Path) -> None:
        from orchlite.sdk.wallaroo._engine_config import Acceleration, Architecture, InvalidAccelerationError

        chosen = wl.upload_model("houses", file, framework=ONNX, arch=Architecture.ARM, accel=Acceleration.CUDA)
        assert (chosen.arch(), chosen.accel()) == ("arm", "cuda")
        with pytest.raises(InvalidAccelerationError):
            wl.upload_model("houses", file, framework=ONNX, arch=Architecture.ARM, accel=Acceleration.OpenVINO)


class TestFinding:
    def test_a_version_is_found_by_its_name(self, wl: Any, model: Any) -> None:
        newest = wl.upload_model("houses", model_file(model), framework=ONNX)
        assert wl.get_model("houses") == newest
        assert wl.get_model("houses", version=model.version()) == wl.get_model(name="houses", version=model.version()) == model
        assert wl.model_by_name("houses", model.version()) == model
        assert wl.model_by_name(model_class="houses", model_name=model.version()) == model
        assert wl.model_version_by_name("houses", model.version()) == model

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda wl: wl.get_model("absent"), r"^Error: A model with the name absent does not exist\.$"),
            (lambda wl: wl.get_model("houses", "7"), r"^Error: A model with the version 7 not found in this workspace\.$"),
        ],
    )
    def test_what_the_workspace_lacks_is_a_plain_exception(self, wl: Any, model: Any, call: Callable[[Any], object], text: str) -> None:
        with pytest.raises(Exception, match=text) as caught:
            call(wl)
        assert type(caught.value) is Exception

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda wl, version: wl.model_by_name("absent", version), "ModelVersion not found: {'name': 'absent', 'model_version': '"),
            (lambda wl, version: wl.model_by_name("houses", "7"), "ModelVersion not found: {'name': 'houses', 'model_version': '7'}"),
            (lambda wl, version: wl.model_by_name("houses", version, workspace_name="other"), "ModelVersion not found: "),
            (
                lambda wl, version: wl.model_by_name(model_class="houses", model_name="7"),
                "ModelVersion not found: {'model_class': 'houses', 'model_name': '7'}",
            ),
        ],
        ids=["name", "version", "workspace", "old"],
    )
    def test_what_no_workspace_has_is_not_found(self, wl: Any, model: Any, call: Callable[[Any, str], object], text: str) -> None:
        with pytest.raises(wallaroo.object.EntityNotFoundError) as caught:
            call(wl, model.version())
        assert str(caught.value).startswith(text)

    def test_lists_are_of_the_current_workspace_or_of_another(self, wl: Any, model: Any) -> None:
        assert isinstance(wl.list_models(), wallaroo.model.ModelList)
        assert [one.name() for one in wl.list_models()] == ["houses"]
        first = wl.get_current_workspace()
        assert [one.name() for one in first.models()] == ["houses"]
        wl.set_current_workspace(wl.create_workspace("other"))
        assert wl.list_models() == wl.get_current_workspace().models() == []
        assert [one.name() for one in wl.list_models(workspace_id=first.id())] == ["houses"]
        assert [one.workspace() for one in wl.list_models(workspace_name="default")] == [first]


class TestPrints:
    def test_a_version_prints_as_the_sdks(self, model: Any) -> None:
        shown = eval(repr(model), {"datetime": __import__("datetime"), "tzutc": lambda: model.last_update_time().tzinfo})
        assert list(shown) == ["name", "version", "file_name", "image_path", "arch", "accel", "last_update_time"]
        assert (shown["name"], shown["version"], shown["arch"], shown["accel"]) == ("houses", model.version(), "x86", "none")
        assert "tzinfo=tzutc())" in repr(model)

    def test_a_model_prints_as_the_sdks(self, wl: Any, model: Any) -> None:
        [found] = wl.list_models()
        assert repr(found).startswith("{'name': 'houses', 'versions': 1, 'owner_id': '")
        assert repr(found).count("tzinfo=tzutc()") == 2
        assert (found.created_at() <= found.last_update_time(), found.owner_id()) == (True, wl.auth.user_id())

    def test_lists_are_tables_in_a_notebook(self, wl: Any, model: Any) -> None:
        assert "<th># of Versions</th>" in wl.list_models()._repr_html_()
        assert f"<td>{model.version()}</td>" in wl.list_models()[0].versions()._repr_html_()
        assert f"<td>{model.sha()}</td>" in model._repr_html_()
        assert wallaroo.model.ModelList()._repr_html_() == "(no models)"


def model_file(model: Any) -> Path:
    """Return the stored file of a model."""
    with orchlite.Client(model.client._folder) as client:
        return client.path() / "models" / str(model.sha())
