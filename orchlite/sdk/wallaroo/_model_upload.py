"""Uploads of models with the rules of the platform's SDK: what it checks, in which order, and what it prints."""

from __future__ import annotations

import sys
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from orchlite.core.model_arguments import checked_schema
from orchlite.core.model_records import ModelVersionRow
from orchlite.engine.engine import Engine
from orchlite.operations import model_upload

from ._absent import refuse
from ._api_errors import ModelUploadError, as_api_error
from ._engine_config import Acceleration, Architecture, InvalidAccelerationError
from ._names import require_dns_compliance
from ._submodules import PACKAGE

_WITHOUT_SCHEMAS = frozenset({"onnx", "tensorflow"})
_EMULATED = frozenset({"onnx", "python"})


class ModelFile(NamedTuple):
    """The arguments of `Client.upload_model`."""

    name: str
    path: str | PathLike[str]
    framework: Any
    input_schema: Any
    output_schema: Any
    arch: Any
    accel: Any


def upload(engine: Engine, workspace_id: int, file: ModelFile, *, is_waiting: bool) -> ModelVersionRow:
    """Upload the file; see `Client.upload_model`. With `is_waiting`, print what the SDK prints while the platform converts a model.

    Raises:
        ValueError: the framework is not a `Framework`.
        NotImplementedError: orchlite does not run models of this framework.
        wallaroo.object.InvalidNameError: the name is refused.
        wallaroo.engine_config.InvalidAccelerationError: the architecture lacks the accelerator.
        wallaroo.exceptions.ModelUploadError: the file or an argument is refused.
        Exception: a schema is missing.
        OSError: the file cannot be read.
    """
    require_dns_compliance(file.name)
    if not isinstance(file.framework, import_module(f"{PACKAGE}.framework").Framework):
        raise ValueError("framework must be a Framework Enum. Example: Framework.PYTORCH, Framework.TENSORFLOW")
    arch, accel = _processor(file)
    path = Path(file.path)
    with path.open("rb"):
        pass  # a file that cannot be read is Python's error, as with the SDK
    if file.framework not in _WITHOUT_SCHEMAS:
        _require_schemas(file)
    if file.framework not in _EMULATED:
        refuse(f"Client.upload_model(framework={file.framework})")
    with as_api_error(ModelUploadError):
        schemas = checked_schema(file.input_schema, "input_schema"), checked_schema(file.output_schema, "output_schema")
        model = model_upload.ModelUpload(
            path.absolute(), workspace_id, file.name, path.name, file.framework.value, *schemas, arch=arch, accel=accel
        )
        row = model_upload.receive(engine.context, model)
    if is_waiting and file.framework not in _WITHOUT_SCHEMAS:
        sys.stdout.write("Waiting for model loading - this will take up to 10min.\nReady\n")
    return row


def _processor(file: ModelFile) -> tuple[str, str]:
    arch = Architecture(file.arch or Architecture.default())
    accel = Acceleration(file.accel or Acceleration.default())
    if not accel.is_applicable(arch):
        raise InvalidAccelerationError
    return str(arch), str(accel)


def _require_schemas(file: ModelFile) -> None:
    for name in ("input_schema", "output_schema"):
        if getattr(file, name) is None:
            raise Exception(f"parameter '{name}' required for this framework")  # class and text as in the SDK
