"""ONNX models: sessions of onnxruntime, and the types and shapes that they want."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from orchlite.core.errors import BadData, BadModel, InferenceFailed
from orchlite.inference import libraries as lib
from orchlite.inference.columns import Columns, Inputs

_TYPES = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(int8)": "int8",
    "tensor(string)": "object",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(uint8)": "uint8",
}
_MAX_SHOWN = 500
_NOISE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from \S+ failed:|/\S+\.(?:cc|h):\d+ (?:.*?\) (?=[A-Z]))?")
"""What onnxruntime writes into its messages for its own developers."""


class _Port(NamedTuple):
    """An input of a model."""

    own_name: str
    column: str
    """The name of the column that it is fed from."""
    dtype: str
    shape: tuple[int | None, ...]
    """With None for sizes that the data decides."""


class OnnxModel:
    """A session of one thread: numbers do not depend on the machine's cores. Safe for several threads, and after a fork."""

    is_flat = True

    def __init__(self, path: Path, name: str, fields: Sequence[str] | None) -> None:
        """Load a file. It blocks for as long as onnxruntime needs: 1 ms for a small model.

        fields: names of the columns for its inputs, in their order; by default the inputs' own.

        Raises:
            BadModel: the file is no ONNX model, is truncated, or needs what orchlite does not offer.
            MissingExtra: onnxruntime is not installed.
        """
        self.name = name
        self._session = _session(path, name)
        inputs = self._session.get_inputs()
        if fields is not None and len(fields) != len(inputs):
            message = f"tensor_fields of model {name!r} has the length {len(fields)}, not {len(inputs)}."
            raise BadModel(message, hint=f"It names the inputs, in this order: {_listed(each.name for each in inputs)}.", model=name)
        columns = fields if fields is not None else [each.name for each in inputs]
        self._ports = [_port(name, each, column) for each, column in zip(inputs, columns, strict=True)]
        self._outputs = [each.name for each in self._session.get_outputs()]
        for each in self._session.get_outputs():
            _checked_type(name, "output", each)

    def predict(self, inputs: Inputs) -> tuple[Columns, Columns]:
        """Return the outputs under the model's own names, and what was fed, by column: of the model's types.

        Raises:
            BadData: a column is missing, or does not fit: the message names it.
            InferenceFailed: onnxruntime failed.
        """
        fed = {port.column: self._fed(port, inputs) for port in self._ports}
        feeds = {port.own_name: fed[port.column] for port in self._ports}
        sizes = {port.shape[0] for port in self._ports if port.shape} - {None}
        if sizes == {1} and inputs.row_count > 1:
            return self._row_by_row(feeds, inputs.row_count), fed
        return {name: _by_row(array, inputs.row_count, self.name, name) for name, array in self._run(feeds)}, fed

    def _run(self, feeds: Columns) -> Iterable[tuple[str, Any]]:
        try:
            return zip(self._outputs, self._session.run(self._outputs, feeds), strict=True)
        except Exception as error:  # onnxruntime's exceptions have no common class
            message = f"Model {self.name!r} failed: {_reason(error)}"
            raise InferenceFailed(message, hint="Check the data against the shapes that the model wants.", model=self.name) from error

    def _row_by_row(self, feeds: Columns, row_count: int) -> Columns:
        rows = [dict(self._run({name: array[row : row + 1] for name, array in feeds.items()})) for row in range(row_count)]
        return {name: lib.np.stack([_by_row(row[name], 1, self.name, name)[0] for row in rows]) for name in self._outputs}

    def _fed(self, port: _Port, inputs: Inputs) -> Any:
        column = inputs.columns.get(port.column)
        if column is None:
            raise self._missing(port, inputs)
        if port.column in inputs.holes:
            row = inputs.holes[port.column]
            message = f"Column {port.column!r} has no number in row {row} (NaN or null), and model {self.name!r} needs one."
            raise BadData(message, hint="Fill or drop such rows.", model=self.name, column=port.column, row=row)
        return self._shaped(self._cast(column, port), port, inputs.row_count)

    def _missing(self, port: _Port, inputs: Inputs) -> BadData:
        message = f"Model {self.name!r} needs the column {port.column!r}; the data has {_listed(inputs.columns)}."
        hint = "Rename the data's column, or configure the model's tensor_fields with the data's names, and deploy again."
        return BadData(message, hint=hint, model=self.name, column=port.column, columns=list(inputs.columns))

    def _cast(self, column: Any, port: _Port) -> Any:
        np = lib.np
        wanted = np.dtype(port.dtype)
        if column.dtype == wanted and wanted.kind != "O":
            return column
        if column.dtype == object:
            return self._cast_objects(column, port)
        if wanted.kind == "O" or column.dtype.kind not in "biuf":
            raise self._wrong_type(column, port)
        if wanted.kind in "iu" and not _fits(column, wanted):
            message = f"Column {port.column!r} has numbers that {port.dtype} cannot hold, which model {self.name!r} needs."
            raise BadData(message, hint=f"Give whole numbers in the range of {port.dtype}.", model=self.name, column=port.column)
        with np.errstate(over="ignore"):
            return column.astype(wanted)

    def _cast_objects(self, column: Any, port: _Port) -> Any:
        cells = column.reshape(-1)
        odd = next((cell for cell in cells if isinstance(cell, list)), None)
        if odd is not None:
            row = next(row for row, cell in enumerate(cells) if not isinstance(cell, list) or _size(cell) != _size(cells[0]))
            message = f"The values of column {port.column!r} differ in shape: row {row} is not like row 0."
            raise BadData(message, hint="Every row needs the same shape.", model=self.name, column=port.column, row=row)
        fitting = str if port.dtype == "object" else Real
        place = next((place for place, cell in enumerate(cells) if not isinstance(cell, fitting)), None)
        if place is None and port.dtype == "object":
            return column
        raise self._wrong_type(column, port, place or 0)

    def _wrong_type(self, column: Any, port: _Port, place: int = 0) -> BadData:
        """Return the error for the number, or other value, at `place` of the flat column."""
        row = place * len(column) // column.size
        kind = f"{type(column.reshape(-1)[place]).__name__} in row {row}" if column.dtype == object else str(column.dtype)
        wanted = "text" if port.dtype == "object" else f"numbers ({port.dtype})"
        message = f"Column {port.column!r} has {kind}, and model {self.name!r} needs {wanted}."
        return BadData(message, hint="Convert the column.", model=self.name, column=port.column)

    def _shaped(self, column: Any, port: _Port, row_count: int) -> Any:
        """Return the column in the rank that the model wants; a flat list stands for any shape of that many numbers."""
        wanted = port.shape[1:]
        if not port.shape or _agrees(column.shape[1:], wanted):
            return column.reshape(-1)[0] if not port.shape and column.size == 1 else column
        if None not in wanted and column.size == row_count * math.prod(size for size in wanted if size is not None):
            return column.reshape(row_count, *wanted)
        message = f"Column {port.column!r} has {_shape_text(column.shape[1:])} a row, and model {self.name!r} needs {_shape_text(wanted)}."
        hint = "Give each row as one list of that shape."
        raise BadData(message, hint=hint, model=self.name, column=port.column, shape=list(column.shape[1:]), wanted=list(wanted))


def _session(path: Path, name: str) -> Any:
    ort = lib.ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal only: everything else is raised as well
    try:
        return ort.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common class
        message = f"The file of model {name!r} cannot be loaded as ONNX: {_reason(error, path.parent)}"
        hint = "Upload the complete model in one file; models of other frameworks have to be converted to ONNX."
        raise BadModel(message, hint=hint, model=name) from error


def _reason(error: Exception, folder: Path | None = None) -> str:
    # The path in the store, and the place in the source of onnxruntime, say nothing to a user.
    text = _NOISE.sub("", " ".join(str(error).split())).strip(" :")
    text = text if folder is None else text.replace(f"{folder}/", "")
    return f"{text[:_MAX_SHOWN].rstrip('.') or type(error).__name__}."


def _port(model: str, known: Any, column: str) -> _Port:
    shape = tuple(size if isinstance(size, int) else None for size in known.shape)
    return _Port(known.name, column, _checked_type(model, "input", known), shape)


def _checked_type(model: str, side: str, known: Any) -> str:
    if known.type not in _TYPES:
        message = f"Model {model!r} has the {side} {known.name!r} of type {known.type}, which is no tensor that orchlite can pass on."
        raise BadModel(message, hint="Export it with tensors only; for scikit-learn, with the option zipmap switched off.", model=model)
    return _TYPES[known.type]


def _by_row(array: Any, row_count: int, model: str, output: str) -> Any:
    """Return an output with one entry a row. That of a single row may have any first dimension, such as boxes in an image."""
    if array.ndim and array.shape[0] == row_count:
        return array
    if row_count == 1:
        return array[None]
    message = f"Output {output!r} of model {model!r} has {array.shape[0] if array.ndim else 1} rows for {row_count}."
    raise InferenceFailed(message, hint="Give it one row at a time.", model=model, output=output)


def _fits(column: Any, wanted: Any) -> bool:
    np = lib.np
    if column.dtype.kind == "b" or not column.size:
        return True
    known = np.iinfo(wanted)
    if column.dtype.kind == "f" and not (np.isfinite(column).all() and (column == np.rint(column)).all()):
        return False
    return bool(known.min <= column.min() and column.max() <= known.max)


def _agrees(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(size is None or size == given for given, size in zip(shape, wanted, strict=True))


def _size(cell: object) -> tuple[int, ...]:
    sizes: list[int] = []
    while isinstance(cell, list):
        sizes.append(len(cell))
        cell = cell[0] if cell else None
    return tuple(sizes)


def _shape_text(shape: Sequence[int | None]) -> str:
    if all(size == 1 for size in shape):
        return "one number"
    return f"{' x '.join('any' if size is None else str(size) for size in shape)} numbers"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
