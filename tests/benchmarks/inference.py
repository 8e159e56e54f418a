"""Benchmarks of inference: what a pipeline adds to a call of onnxruntime and the same DataFrames, and what its log costs.

*bare* is that call: a DataFrame to an array, the session, and a DataFrame of the same columns with the same cells.
"""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

import orchlite
from orchlite import rest as rest_api
from orchlite.client.client import engine_of
from orchlite.inference import engine, frames
from orchlite.inference.results import InferenceResult
from orchlite.operations import inference as inferring
from tests.benchmarks.measure import interleaved, ratio, report, summary
from tests.benchmarks.rest import Caller

_WIDTHS = (18, 256, 256, 1)
_ROUNDS = {1: 300, 1_000: 40, 10_000: 10}


def inference(folder: Path) -> None:
    """Measure inferences of one row, and of many, by a network of three layers."""
    path = _model(folder / "model.onnx")
    bare = _Bare(path)
    with orchlite.Client(folder / "store") as client:
        pipeline = client.build_pipeline("pipe").add_model_step(client.upload_model("model", path)).deploy()
        taken = _compared(bare, pipeline, 1)
        report("inference of a row", ratio(taken, "pipeline", "bare"), "x bare", "<= 1.5", **_all(taken))
        taken = _compared(bare, pipeline, 10_000)
        report("inference of 10,000 rows", ratio(taken, "pipeline", "bare"), "x bare", "<= 1.2", **_all(taken))
        _log(client, pipeline, _frame(1_000))
        _over_http(client, pipeline)


def _compared(bare: _Bare, pipeline: orchlite.Pipeline, row_count: int) -> dict[str, list[float]]:
    frame = _frame(row_count)
    assert bare(frame).drop(columns="time").equals(pipeline.infer(frame).drop(columns="time"))
    return interleaved({"bare": partial(bare, frame), "pipeline": partial(pipeline.infer, frame)}, _ROUNDS[row_count])


def _log(client: orchlite.Client, pipeline: orchlite.Pipeline, frame: pd.DataFrame) -> None:
    """Measure an inference without its log against one with it."""
    context = engine_of(client).context
    plan = inferring.deployed_plan(context, pipeline.id())

    def without() -> Any:
        inferring.deployed_plan(context, pipeline.id())
        result: InferenceResult = engine.run(plan.steps, frames.from_frame(frame), plan.models, at_ms=time.time_ns() // 1_000_000)
        return result.to_frame()

    taken = interleaved({"without": without, "with": partial(pipeline.infer, frame)}, _ROUNDS[len(frame)])
    share = 1 - 1 / ratio(taken, "with", "without")
    report("log of an inference of 1,000 rows", share, "of the inference", "<= 0.2", **_all(taken))


def _over_http(client: orchlite.Client, pipeline: orchlite.Pipeline) -> None:
    """Measure 100 inferences of a row over HTTP against the same ones in this process."""
    columns = {"x": _frame(1)["x"].tolist()}
    with rest_api.serve(client, port=0) as server, closing(Caller(server)) as call:

        def over_http() -> None:
            for _ in range(100):
                call("pipelines/infer/pipe-1/pipe", **columns)

        def here() -> None:
            for _ in range(100):
                pipeline.infer(columns)

        taken = interleaved({"REST": over_http, "here": here}, rounds=5)
    report("100 inferences of a row over HTTP", ratio(taken, "REST", "here"), "x the Python calls", "none", **_all(taken))


def _all(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {name: summary(seconds) for name, seconds in taken.items()}


class _Bare:
    """A call of onnxruntime with DataFrames on both sides."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options)

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        sent = np.round(np.array(frame["x"].tolist()), 10)
        (outputs,) = self._session.run(["y"], {"x": sent.astype(np.float32)})
        texts = [[float(str(number)) for number in row] for row in outputs]  # the shortest text of float32, as the platform writes
        times = pd.to_datetime([time.time_ns() // 1_000_000] * len(frame), unit="ms")
        return pd.DataFrame({"time": times, "in.x": sent.tolist(), "out.y": texts, "anomaly.count": 0})


def _frame(row_count: int) -> pd.DataFrame:
    return pd.DataFrame({"x": np.random.default_rng(1).random((row_count, _WIDTHS[0])).tolist()})


def _model(path: Path) -> Path:
    random = np.random.default_rng(1)
    nodes, weights, source = [], [], "x"
    for number, (above, below) in enumerate(pairwise(_WIDTHS)):
        weight, product = f"w{number}", f"p{number}"
        target = "y" if number == len(_WIDTHS) - 2 else f"r{number}"
        weights.append(numpy_helper.from_array(random.standard_normal((above, below)).astype(np.float32), weight))
        nodes += [helper.make_node("MatMul", [source, weight], [product]), helper.make_node("Relu", [product], [target])]
        source = target
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name, width in (("x", _WIDTHS[0]), ("y", _WIDTHS[-1]))
    ]
    graph = helper.make_graph(nodes, "network", ports[:1], ports[1:], weights)
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    return path
