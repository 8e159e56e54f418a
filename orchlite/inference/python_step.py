"""Python steps: the function `process_data` of a file or a ZIP, which the platform runs as a model.

It takes a dictionary of arrays of numpy by name, and returns one.
"""

from __future__ import annotations

import inspect
import os
import shutil
import sys
import tempfile
import threading
import weakref
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from orchlite.core.errors import BadData, BadModel, InferenceFailed
from orchlite.core.hints import PythonOnly
from orchlite.inference import libraries as lib
from orchlite.inference.columns import Columns, Inputs

Function = Callable[[dict[str, Any]], Mapping[str, Any]]

_FUNCTION = "process_data"
_one_at_a_time = threading.RLock()
"""Held while a step is imported or called: its modules stand in `sys.modules` meanwhile."""


def _unlock() -> None:
    global _one_at_a_time
    _one_at_a_time = threading.RLock()


os.register_at_fork(after_in_child=_unlock)  # the thread that held it is not in the child


class PythonStep:
    """A function from columns to columns. One call at a time, as on the platform."""

    is_flat = False

    def __init__(
        self, function: Function, name: str, *, input_schema: Any = None, output_schema: Any = None, home: StepModules | None = None
    ) -> None:
        """Wrap a function. Schemas of pyarrow name the columns that it is given and returns, and their types; None: any."""
        self.name = name
        self._function = function
        self._input_schema = input_schema
        self._output_schema = output_schema
        self._home = home or StepModules()

    def predict(self, inputs: Inputs) -> tuple[Columns, Columns]:
        """Return what the function returns, as arrays, and what it was given.

        Raises:
            BadData: a column of the input schema is missing, or has another type.
            InferenceFailed: the function raised, or what it returned is no dictionary of arrays.
        """
        given = self._given(inputs)
        with self._home:
            try:
                returned = self._function({name: column.copy() for name, column in given.items()})
                if inspect.isawaitable(returned):
                    returned = _awaited(returned)
            except (Exception, SystemExit) as error:  # a step that exits would take the host with it
                message = f"The Python step {self.name!r} failed: {_told(error)}."
                raise InferenceFailed(message, hint=PythonOnly("The cause has the traceback."), model=self.name) from error
        return self._returned(returned), given

    def _given(self, inputs: Inputs) -> Columns:
        if self._input_schema is None:
            return dict(inputs.columns)
        found: Columns = {}
        for field in self._input_schema:
            if field.name not in inputs.columns:
                there = ", ".join(map(repr, inputs.columns))
                message = f"The Python step {self.name!r} needs the column {field.name!r}; the data has {there}."
                raise BadData(message, hint="Its input_schema names its columns.", model=self.name, column=field.name)
            found[field.name] = self._cast(inputs.columns[field.name], field)
        return found

    def _cast(self, column: Any, field: Any) -> Any:
        kind = _leaf(field.type)
        if column.dtype == object or not (lib.pa.types.is_floating(kind) or lib.pa.types.is_integer(kind) or lib.pa.types.is_boolean(kind)):
            return column
        try:
            return column.astype(kind.to_pandas_dtype(), copy=False)
        except (ValueError, TypeError) as error:
            message = f"Column {field.name!r} cannot be converted to {field.type}, which the Python step {self.name!r} needs."
            raise BadData(message, hint="Its input_schema names the types.", model=self.name, column=field.name) from error

    def _returned(self, returned: object) -> Columns:
        if not isinstance(returned, Mapping) or not returned:
            message = f"The Python step {self.name!r} returned {type(returned).__name__}, not a dictionary of arrays."
            raise InferenceFailed(message, hint='Return {"name": array, ...}.', model=self.name)
        found = {str(name): lib.np.asarray(column) for name, column in returned.items()}
        for name in self._output_schema.names if self._output_schema is not None else ():
            if name not in found:
                there = ", ".join(map(repr, found))
                message = f"The Python step {self.name!r} returned {there}, but not {name!r}, which its output_schema names."
                raise InferenceFailed(message, hint="Return every column of the output_schema.", model=self.name, output=name)
        return {name: column if column.ndim else column[None] for name, column in found.items()}


class StepModules:
    """The modules of one step: importable and in `sys.modules` inside a `with` block only, so that steps do not see each other's."""

    def __init__(self, folder: str | None = None) -> None:
        """Take a temporary folder, which is removed with this object, or at the end of the process; None: a step of one file."""
        self._folder = folder
        self._modules: dict[str, ModuleType] = {}
        if folder is not None:
            weakref.finalize(self, _remove, folder, os.getpid())

    def __enter__(self) -> None:
        self._lock = _one_at_a_time
        self._lock.acquire()
        if self._folder is not None:
            sys.path.insert(0, self._folder)
            sys.modules.update(self._modules)

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            sys.path.remove(self._folder)
            own = {name for name, module in sys.modules.items() if (getattr(module, "__file__", None) or "").startswith(self._folder)}
            self._modules |= {name: sys.modules.pop(name) for name in own}
        self._lock.release()


def load_step(path: Path, name: str, *, input_schema: Any = None, output_schema: Any = None) -> PythonStep:
    """Import the function `process_data` of a Python file, or of the one file in a ZIP that defines it.

    Raises:
        BadModel: the file cannot be imported, or has no such function.
    """
    folder = _unpacked(path, name) if zipfile.is_zipfile(path) else None
    home = StepModules(folder)
    files = [path] if folder is None else sorted(Path(folder).rglob("*.py"))
    with home, _mac_importable():
        found = [function for file in files if (function := _function(file, name)) is not None]
    if len(found) != 1:
        problem = "defines no function" if not found else "defines several functions"
        hint = "Define it once, as a function that takes and returns a dictionary of arrays."
        raise BadModel(f"Model {name!r} {problem} {_FUNCTION!r}.", hint=hint, model=name)
    return PythonStep(found[0], name, input_schema=input_schema, output_schema=output_schema, home=home)


def _function(file: Path, model: str) -> Function | None:
    # The platform's name for such a module. It is no key of sys.modules, so that several can be loaded.
    loader = SourceFileLoader("custom_step", str(file))  # by name: a model's file in the store has no suffix
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)  # noqa: S102 - writes no bytecode beside the model's file
    except ModuleNotFoundError as error:
        message = f"The Python step {model!r} needs the package {error.name!r}, which is not installed in this environment."
        raise BadModel(message, hint="Add it to the requirements of what runs the pipeline.", model=model, package=error.name) from error
    except (Exception, SystemExit) as error:
        message = f"The Python step {model!r} cannot be imported: {_told(error)}."
        raise BadModel(message, hint="Mend the file and upload it again.", model=model) from error
    function = getattr(module, _FUNCTION, None)
    # One that is imported from a sibling is that sibling's.
    return function if inspect.isfunction(function) and function.__module__ == module.__name__ else None


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".: ")


def _unpacked(path: Path, name: str) -> str:
    folder = tempfile.mkdtemp(prefix="orchlite-step-")
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)  # zipfile keeps entries inside the folder
    except (zipfile.BadZipFile, OSError, RuntimeError, EOFError) as error:
        _remove(folder, os.getpid())
        message = f"The file of model {name!r} cannot be unpacked: {error}"
        raise BadModel(message, hint="Upload a Python file, or a ZIP with one.", model=name) from error
    return folder


def _remove(folder: str, process_id: int) -> None:
    if os.getpid() == process_id:  # a forked child shares the folder with its parent
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _mac_importable() -> Iterator[None]:
    """Let `from mac.types import InferenceData` find something, where the platform's package `mac` is not installed."""
    if "mac" in sys.modules or find_spec("mac") is not None:
        yield
        return
    mac, types = ModuleType("mac"), ModuleType("mac.types")
    types.InferenceData = dict[str, Any]  # type: ignore[attr-defined]
    mac.types = types  # type: ignore[attr-defined]
    mac.__path__ = []
    sys.modules |= {"mac": mac, "mac.types": types}
    try:
        yield
    finally:
        for name in ("mac", "mac.types"):
            sys.modules.pop(name, None)


def _awaited(coroutine: Any) -> Any:
    """Run a coroutine in a thread of its own, since this one may have a running loop."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def result() -> Any:
        return await coroutine

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, result()).result()


def _leaf(kind: Any) -> Any:
    while hasattr(kind, "value_type") and lib.pa.types.is_nested(kind):
        kind = kind.value_type
    return kind
