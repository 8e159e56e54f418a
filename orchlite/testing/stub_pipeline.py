"""A deployed pipeline of one function or of canned rows, for tests of programs whose real models are not at hand."""

from __future__ import annotations

import inspect
import marshal
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from orchlite.core.errors import BadArgument

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.pipeline import Pipeline

Function = Callable[[dict[str, Any]], Mapping[str, Any]]

_ARGUMENT = "function_or_frame"
_OF_FUNCTION = """\
from importlib import import_module
from marshal import loads
from pickle import loads as unpickled
from types import CellType, FunctionType

_scope = globals() | {{name: import_module(module) for name, module in {modules!r}.items()}} | unpickled({values!r})
_cells = tuple(CellType(_scope[name]) for name in {free!r})
_stub = FunctionType(loads({code!r}), _scope, "stub", unpickled({defaults!r}), _cells)


def process_data(input_data):
    return _stub(input_data)
"""
_OF_FRAME = """\
import numpy
from pickle import loads

_ROWS = loads({rows!r})


def process_data(input_data):
    count = len(next(iter(input_data.values())))
    return {{name: numpy.array([cells[row % len(cells)] for row in range(count)], dtype=kind) for name, (kind, cells) in _ROWS.items()}}
"""


def pipeline_stub(name: str, function_or_frame: Any, *, client: Client) -> Pipeline:
    """Deploy a pipeline in the client's current workspace that calls a function instead of a model; return it.

    Programs of every process find it by its name. An earlier pipeline of this name gets a new version.

    function_or_frame: a function that takes and returns a dictionary of arrays of numpy; or a DataFrame whose rows are returned in turn,
        beginning with the first one at each inference. Tasks get a copy of the function, with the modules and the values that it uses:
        what it changes in the test's process is not seen there.

    Raises:
        BadArgument: an argument is refused; the function uses, or the DataFrame has, something that cannot be copied.
        BadData: the DataFrame has no rows, or two columns of one name.
        MissingExtra: the extra `inference` is not installed.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    source = _source_of_function(function_or_frame) if callable(function_or_frame) else _source_of_frame(function_or_frame)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stub.py")
        path.write_text(source, encoding="utf-8")
        model = client.upload_model(name, path, "python")
    return client.build_pipeline(name).add_model_step(model).deploy()


def _source_of_function(function: Function) -> str:
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        raise BadArgument(f"{function!r:.80} is not written in Python.", hint="Pass a function, or wrap it in one.", argument=_ARGUMENT)
    used = inspect.getclosurevars(function)
    values = {**used.globals, **used.nonlocals, **_used_below(function)}
    modules = {name: value.__name__ for name, value in values.items() if isinstance(value, ModuleType)}
    others = {name: value for name, value in values.items() if name not in modules}
    return _OF_FUNCTION.format(
        modules=modules,
        values=_pickled(others),
        free=function.__code__.co_freevars,
        code=marshal.dumps(function.__code__),
        defaults=_pickled(function.__defaults__),
    )


def _used_below(function: FunctionType) -> dict[str, Any]:
    """Return the globals that functions and comprehensions inside of a function use: `getclosurevars` does not look there."""
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    return {name: function.__globals__[name] for name in names if name in function.__globals__}


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _pickled(values: object) -> bytes:
    try:
        return pickle.dumps(values)
    except Exception as error:  # pickle raises whatever the objects' own methods raise
        message = f"{_ARGUMENT} uses something that cannot be copied to the processes of tasks: {error}"
        raise BadArgument(message, hint="Let it use modules and plain values only.", argument=_ARGUMENT) from error


def _source_of_frame(frame: Any) -> str:
    from orchlite.inference import frames

    try:
        columns = frames.from_frame(frame).columns
    except AttributeError as error:
        message = f"{_ARGUMENT} is of type {type(frame).__name__}."
        raise BadArgument(message, hint="It takes a function or a DataFrame.", argument=_ARGUMENT) from error
    rows = {name: (str(column.dtype), column.tolist()) for name, column in columns.items()}
    return _OF_FRAME.format(rows=_pickled(rows))
