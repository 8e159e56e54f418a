"""Small ONNX models for tests, made in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

FLOAT, INT64, STRING, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL

Port = tuple[str, int, Sequence[int | str | None]]


def save(
    path: Path, nodes: Sequence[onnx.NodeProto], inputs: Sequence[Port], outputs: Sequence[Port], constants: dict[str, list[float]]
) -> Path:
    """Write a model of these nodes; constants are float tensors of one dimension."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(*port) for port in inputs],
        [helper.make_tensor_value_info(*port) for port in outputs],
        [helper.make_tensor(name, FLOAT, [len(values)], values) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def doubling(path: Path, width: int = 3, *, source: str = "x", target: str = "y") -> Path:
    """`y = 2 x`, of floats."""
    node = helper.make_node("Mul", [source, "two"], [target])
    return save(path, [node], [(source, FLOAT, [None, width])], [(target, FLOAT, [None, width])], {"two": [2.0]})


def summing(path: Path, width: int = 3, *, source: str = "x", target: str = "sum") -> Path:
    """The sum of each row: one number, in a list of one."""
    node = helper.make_node("ReduceSum", [source, "axis"], [target], keepdims=1)
    graph = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info(source, FLOAT, [None, width])],
        [helper.make_tensor_value_info(target, FLOAT, [None, 1])],
        [helper.make_tensor("axis", INT64, [1], [1])],
    )
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    return path


def weighing(path: Path, weights: Sequence[float], *, source: str = "tensor", target: str = "variable") -> Path:
    """The sum of each row's products with `weights`: one number, in a list of one."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", [source, "weights"], [target])],
        "test",
        [helper.make_tensor_value_info(source, FLOAT, [None, len(weights)])],
        [helper.make_tensor_value_info(target, FLOAT, [None, 1])],
        [helper.make_tensor("weights", FLOAT, [len(weights), 1], weights)],
    )
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    return path


def identity(path: Path, kind: int, shape: Sequence[int | str | None]) -> Path:
    """`y = x`, of any type and shape."""
    return save(path, [helper.make_node("Identity", ["x"], ["y"])], [("x", kind, shape)], [("y", kind, shape)], {})


def two_inputs(path: Path) -> Path:
    """`total = a + b`, `difference = a - b`."""
    nodes = [helper.make_node("Add", ["a", "b"], ["total"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    shape = [None, 2]
    ports = [("a", FLOAT, shape), ("b", FLOAT, shape)], [("total", FLOAT, shape), ("difference", FLOAT, shape)]
    return save(path, nodes, *ports, {})
