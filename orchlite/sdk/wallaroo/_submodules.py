"""Resolves the names of the SDK: to something emulated, to a placeholder, or to nothing.

The public submodules (`wallaroo.pipeline`, …) have no files: they are created empty here, and their names are added on first use.
To emulate a name of the SDK, define it in a private module of this package, and add it to `EMULATED`.
"""

from __future__ import annotations

import builtins
from importlib import import_module
from importlib.machinery import ModuleSpec

from ._surface import MODULES, OPEN_MODULES

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from importlib.abc import Loader
    from types import ModuleType
    from typing import Any
else:
    Loader = object  # the import system calls the methods only; importing `importlib.abc` would cost as much as `typing`

PACKAGE = __name__.rpartition(".")[0]

EMULATED = {
    "client.Client": "._client",
    "connection.Connection": "._connection",
    "connection.ConnectionList": "._connection",
    "deployment.Deployment": "._deployment",
    "deployment.WaitForDeployError": "._errors",
    "deployment.WaitForError": "._errors",
    "deployment_config.DeploymentConfig": "._deployment_config",
    "deployment_config.DeploymentConfigBuilder": "._deployment_config",
    "engine_config.Acceleration": "._engine_config",
    "engine_config.Architecture": "._engine_config",
    "engine_config.InvalidAccelerationError": "._engine_config",
    "exceptions.APIErrorResponse": "._api_errors",
    "exceptions.InferenceError": "._api_errors",
    "exceptions.InferenceTimeoutError": "._api_errors",
    "exceptions.ModelUploadError": "._api_errors",
    "exceptions.WallarooAPIError": "._api_errors",
    "model.Model": "._model",
    "model.ModelList": "._model",
    "model_config.ModelConfig": "._model_version",
    "model_version.ModelVersion": "._model_version",
    "model_version.ModelVersionList": "._model_version",
    "object.EntityNotFoundError": "._errors",
    "object.InvalidNameError": "._errors",
    "object.RequiredAttributeMissing": "._errors",
    "orchestration.Orchestration": "._orchestration",
    "orchestration.OrchestrationDeployOneshotFailed": "._errors",
    "orchestration.OrchestrationList": "._orchestration",
    "orchestration.OrchestrationMissingFile": "._errors",
    "orchestration.OrchestrationUploadFailed": "._errors",
    "pipeline.Pipeline": "._pipeline",
    "pipeline.Pipelines": "._pipeline",
    "pipeline_config.AuditResults": "._pipeline_config",
    "pipeline_config.Check": "._pipeline_config",
    "pipeline_config.MetaValueSplit": "._pipeline_config",
    "pipeline_config.ModelForStep": "._pipeline_config",
    "pipeline_config.ModelInference": "._pipeline_config",
    "pipeline_config.MultiOut": "._pipeline_config",
    "pipeline_config.Nth": "._pipeline_config",
    "pipeline_config.RandomSplit": "._pipeline_config",
    "pipeline_config.Step": "._pipeline_config",
    "pipeline_config.Steps": "._pipeline_config",
    "pipeline_version.PipelineVersion": "._pipeline_version",
    "pipeline_version.PipelineVersionList": "._pipeline_version",
    "task.Task": "._task",
    "task.TaskList": "._task",
    "task_run.TaskRun": "._task_run",
    "task_run.TaskRunList": "._task_run",
    "task_run.TaskRunLogs": "._task_run",
    "utils.dns_compliant": "._names",
    "utils.require_dns_compliance": "._names",
    "version.__version__": "",
    "workspace.Workspace": "._workspace",
    "workspace.Workspaces": "._workspace",
}
"""The names that are emulated: the name in the SDK, and the module of this package that defines it."""

_Entries = dict[str, tuple[str, list[str]]]
_entries_of: dict[str, _Entries] = {}


def spec(name: str) -> ModuleSpec | None:
    """Return the spec of the SDK's submodule `name`; None if the SDK has no such module."""
    if not _is_module(name):
        return None
    is_package = _is_open(name) or any(other.startswith(f"{name}.") for other in MODULES)
    return ModuleSpec(f"{PACKAGE}.{name}", _Loader(), origin="orchlite", is_package=is_package)


def names(module: str) -> set[str]:
    """Return the public names of the SDK's `module` (`""` is the package itself), with its submodules."""
    prefix = f"{module}." if module else ""
    inside = {name.removeprefix(prefix).partition(".")[0] for name in (*MODULES, *OPEN_MODULES) if name.startswith(prefix)}
    return {*_entries(module), *inside} - {""}


def members(module: str, name: str) -> list[str]:
    """Return the public members of the SDK's class `name`."""
    return _entries(module)[name][1]


def attribute(module: ModuleType, name: str) -> Any:
    """Create `module.name`, store it in the module, and return it.

    Raises:
        AttributeError: the SDK has no such name there.

    """
    place = module.__name__.removeprefix(PACKAGE).lstrip(".")
    value = _make(place, name)
    # Two threads may get here at the same time; both must get the same object.
    return vars(module).setdefault(name, value)


def _make(module: str, name: str) -> Any:
    full_name = f"{module}.{name}" if module else name
    if full_name in EMULATED:
        return getattr(import_module(PACKAGE + EMULATED[full_name]), name)
    if _is_listed(full_name):
        return import_module(f"{PACKAGE}.{full_name}")
    if name in _entries(module):
        return _make_absent(module, name)
    if _is_open(module) and not name.startswith("_"):
        return _make_open(module, name)
    raise AttributeError(f"module {f'{PACKAGE}.{module}'.rstrip('.')!r} has no attribute {name!r}")


def _make_open(module: str, name: str) -> Any:
    from ._absent import Absent, absent_class

    return absent_class(module, name, []) if name[0].isupper() else Absent(f"wallaroo.{module}.{name}")


def _make_absent(module: str, name: str) -> Any:
    from ._absent import Absent, absent_class, absent_enum, absent_error

    kind, words = _entries(module)[name]
    match kind:
        case "import":
            home, _, original = words[0].rpartition(".")
            return getattr(import_module(f"{PACKAGE}.{home}"), original)
        case "class" | "classes":
            return absent_class(module, name, words)
        case "error":
            return absent_error(module, name, _base_error(module, words[0]))
        case "enum" | "str-enum" | "text-enum":
            return absent_enum(kind, module, name, words)
    return Absent(f"wallaroo.{module}.{name}")


def _base_error(module: str, name: str) -> type[Exception]:
    """Return the base class of an error: Python's, or one of the same module."""
    base: type[Exception] = getattr(builtins, name, None) or getattr(import_module(f"{PACKAGE}.{module}"), name)
    return base


def _is_module(name: str) -> bool:
    return _is_listed(name) or _is_open(name)


def _is_listed(name: str) -> bool:
    return bool(name) and (name in MODULES or name in OPEN_MODULES)


def _is_open(name: str) -> bool:
    return name.partition(".")[0] in OPEN_MODULES


def _entries(module: str) -> _Entries:
    if module not in _entries_of:
        _entries_of[module] = _parse(MODULES.get(module, ""))
    return _entries_of[module]


def _parse(text: str) -> _Entries:
    """Parse the table's lines of one module into `{name: (kind, words)}`."""
    entries: _Entries = {}
    for kind, *words in map(str.split, filter(str.strip, text.splitlines())):
        if kind == "import":
            for word in words:
                path, _, renamed = word.partition(":")
                entries[renamed or path.rpartition(".")[2]] = (kind, [path])
        elif kind in ("classes", "function", "constant"):
            entries.update((word, (kind, [])) for word in words)
        else:
            entries.setdefault(words[0], (kind, []))[1].extend(words[1:])
    return entries


class _Loader(Loader):
    """Creates an empty module whose names are resolved on first use."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create the module."""

    def exec_module(self, module: ModuleType) -> None:
        place = module.__name__.removeprefix(f"{PACKAGE}.")
        module.__doc__ = f"Emulates `wallaroo.{place}` of the platform's SDK."
        vars(module)["__getattr__"] = lambda name: attribute(module, name)
        vars(module)["__dir__"] = lambda: sorted({*vars(module), *names(place)})
