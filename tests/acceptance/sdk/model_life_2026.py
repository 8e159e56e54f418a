"""A whole life of models with version 2026.1.3 of the SDK; prints what it saw as JSON. Arguments: a folder with models, to write in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import wallaroo
from wallaroo.framework import Framework

from tests.acceptance.sdk import life, model_life


async def in_parallel(houses: Any) -> life.Facts:
    """Infer in batches, and with an Arrow table."""
    found = await houses.parallel_infer(model_life.frame(), batch_size=1)
    rows = await houses.parallel_infer(model_life.table(), batch_size=2)
    return {"frame": model_life.outputs(found), "table": rows["out.variable"].to_pylist()}


def newer(wl: Any, house: Any) -> life.Facts:
    """Do what this version can do, and 2023.2.1 cannot."""
    houses = wl.get_pipeline("houses")
    version = houses.versions()[-2].name()
    first = wl.get_pipeline("houses", version=version)
    return {
        "pipeline": [houses.name(), houses.workspace().name(), first.name()],
        "no pipeline": life.refusal(lambda: wl.get_pipeline("nowhere")),
        "no version": life.refusal(lambda: wl.get_pipeline("houses", version="none")),
        "model": [wl.get_model("house").version() == house.version(), house.arch(), house.accel(), house.workspace().name()],
        "no model": life.refusal(lambda: wl.get_model("nothing")),
        "in a workspace": [each.name() for each in wl.pipelines_by_name("houses", workspace_name="default")],
        "elsewhere": life.refusal(lambda: wl.pipelines_by_name("houses", workspace_id=99)),
        "initiated": first.deploy(wait_for_status=False).status()["status"],
        "inferred with the first steps": model_life.outputs(first.infer(model_life.frame())),
        "published": "orchlite does not have" in life.refusal(first.publish),
    }


def validations(wl: Any, house: Any) -> life.Facts:
    """Deploy validations, expressions of the version of polars that this version of the SDK needs."""
    import polars

    checked = wl.build_pipeline("checked").add_model_step(house)
    checked.add_validations(large=polars.col("out.variable").list.get(0) > 20.0).deploy()
    found = checked.infer(model_life.frame())
    return {"large": found["anomaly.large"].tolist(), "count": found["anomaly.count"].tolist()}


def step(wl: Any, folder: Path) -> life.Facts:
    """Upload and deploy a Python step, which this version waits for."""
    path = folder / "step.py"
    path.write_text("def process_data(columns):\n    return {'variable': columns['tensor'].sum(axis=1, keepdims=True)}\n")
    numbers = pa.list_(pa.float32())
    schemas = {"input_schema": pa.schema([("tensor", numbers)]), "output_schema": pa.schema([("variable", numbers)])}
    made = wl.upload_model("step", path, framework=Framework.PYTHON, **schemas)
    pipeline = wl.build_pipeline("steps").add_model_step(made).deploy()
    return {"status": made.status(), "inferred": model_life.outputs(pipeline.infer(model_life.frame()))}


def main(folder: Path) -> None:
    """Print the facts."""
    wl = wallaroo.Client()
    house, facts = model_life.whole(wl, folder, in_parallel)
    facts |= {"newer": newer(wl, house), "validations": validations(wl, house), "step": step(wl, folder)}
    print("\n" + json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
