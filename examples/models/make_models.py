"""Make the models of the examples: python examples/models/make_models.py [FOLDER]. Needs the package onnx."""

import sys
from pathlib import Path

from onnx import TensorProto, checker, helper

MODELS = {
    "models/house_prices.onnx": (50_000, (10_000, 15_000, 2_500, -800)),
    "models/house_prices_by_area.onnx": (60_000, (0, 0, 2_900, 0)),
    "new_model/house_prices.onnx": (45_000, (8_000, 20_000, 2_600, -1_200)),
}
"""By file: the price of any house, and what each bedroom, bathroom, square metre and year of age adds."""


def price_model(base: float, weights: tuple[float, ...]) -> bytes:
    """price = base + features · weights, for any number of houses; 32-bit floats."""
    size = len(weights)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["float_input", "weights"], ["weighted"]),
            helper.make_node("Add", ["weighted", "base"], ["price"]),
        ],
        "house_prices",
        [helper.make_tensor_value_info("float_input", TensorProto.FLOAT, ["houses", size])],
        [helper.make_tensor_value_info("price", TensorProto.FLOAT, ["houses", 1])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [size, 1], weights),
            helper.make_tensor("base", TensorProto.FLOAT, [1], [base]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model.SerializeToString()


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
for name, (base, weights) in MODELS.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(price_model(base, weights))
    print(f"{name}: {path.stat().st_size} bytes")
