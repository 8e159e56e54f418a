"""What a user of the platform does with its SDK about models and pipelines, the part that is the same in both versions.

The rules are those of `life`. The test made the models, in the folder that the program is given: `house.onnx` weighs three numbers by 1, 2
and 3, `twin.onnx` by 10, 20 and 30; `text.onnx` is no model.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from wallaroo.framework import Framework

from tests.acceptance.sdk import life

PROGRAM = """\
import pandas as pd
import wallaroo

wl = wallaroo.Client()
pipeline = wl.pipelines_by_name("houses")[0].deploy()
print(pipeline.infer(pd.DataFrame({"tensor": [[1.0, 1.0, 1.0]]}))["out.variable"][0])
pipeline.undeploy()
"""

_ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]]


def frame(rows: Sequence[Sequence[float]] = _ROWS) -> pd.DataFrame:
    """Return data for the pipeline."""
    return pd.DataFrame({"tensor": [list(row) for row in rows]})


def table(rows: Sequence[Sequence[float]] = _ROWS) -> pa.Table:
    """Return the same data as an Arrow table."""
    return pa.table({"tensor": pa.array([list(row) for row in rows], pa.list_(pa.float32()))})


def said(call: Callable[[], Any]) -> tuple[Any, str]:
    """Return what a call returns, and what it wrote to stderr."""
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        return call(), stderr.getvalue()


def outputs(found: pd.DataFrame, name: str = "out.variable") -> list[list[float]]:
    """Return the numbers in a column, by default those that a pipeline returned."""
    return [[float(number) for number in cell] for cell in found[name]]


def model(wl: Any, folder: Path) -> tuple[Any, life.Facts]:
    """Upload a model, configure it, look at it, and be refused."""
    path = folder / "house.onnx"
    house = wl.upload_model("house", str(path), framework=Framework.ONNX).configure(tensor_fields=["tensor"])
    return house, {
        "house": [house.name(), house.status(), house.file_name(), house.tags(), house.config().tensor_fields(), house.config().runtime()],
        "sha is that of the bytes": house.sha() == hashlib.sha256(path.read_bytes()).hexdigest(),
        "no model": life.refusal(lambda: wl.upload_model("text", folder / "text.onnx", framework=Framework.ONNX)),
        "another framework": life.refusal(lambda: wl.upload_model("text", path, framework=Framework.TENSORFLOW)),
        "a bad name": life.refusal(lambda: wl.upload_model("a_b", path, framework=Framework.ONNX)).split(":")[0],
    }


def pipeline(wl: Any, house: Any) -> tuple[Any, life.Facts]:
    """Build a pipeline, give it a step, and deploy it."""
    houses = wl.build_pipeline("houses")
    before = [houses.definition(), houses.status(), life.refusal(lambda: houses.infer(frame()))]
    houses.add_model_step(house).deploy()
    status = houses.status()
    return houses, {
        "before": before,
        "steps": [step.to_json()["ModelInference"]["models"][0]["name"] for step in houses.steps()],
        "status": [status["status"], *(each["status"] for each in status["engines"] + status["engine_lbs"])],
        "models": [each["name"] for each in status["engines"][0]["model_statuses"]["models"]],
        "deployed": [wl.deployment_by_name("houses").deployed(), len(wl.list_deployments())],
        "configuration": [
            step["ModelInference"]["models"][0]["name"] for step in houses.get_pipeline_configuration()["definition"]["steps"]
        ],
    }


def inferences(houses: Any, folder: Path) -> life.Facts:
    """Infer with data in every form, and with data that does not fit."""
    records, arrow = folder / "rows.df.json", folder / "rows.arrow"
    records.write_text(json.dumps([{"tensor": row} for row in _ROWS]))
    (folder / "row.json").write_text(json.dumps([{"tensor": _ROWS[0]}]))
    with pa.OSFile(str(arrow), "wb") as file, pa.ipc.new_file(file, table().schema) as writer:
        writer.write_table(table())
    found, rows = houses.infer(frame()), houses.infer(table())
    chosen = houses.infer(frame(), dataset=["time", "out", "metadata"], dataset_separator=":")
    return {
        "frame": [list(found.columns), list(map(str, found.dtypes)), outputs(found, "in.tensor"), outputs(found)],
        "table": [rows.column_names, [str(kind) for kind in rows.schema.types], rows["out.variable"].to_pylist()],
        "one time": found["time"].nunique() == 1,
        "chosen": [list(chosen.columns), json.loads(chosen["metadata:last_model"][0])["model_name"]],
        # One row: version 2023.2.1 fails with more, whatever the server returns.
        "dictionary": houses.infer({"tensor": _ROWS[:1]}),
        "list": houses.infer([{"tensor": _ROWS[0]}]),
        "file of records": outputs(houses.infer_from_file(str(records))),
        "file of Arrow": houses.infer_from_file(arrow)["out.variable"].to_pylist(),
        "file of JSON": houses.infer_from_file(folder / "row.json", data_format="custom-json"),
        "another column": life.refusal(lambda: houses.infer(frame().rename(columns={"tensor": "x"}))),
        "another shape": life.refusal(lambda: houses.infer(table([[1.0, 2.0]]))),
        "another type": life.refusal(lambda: houses.infer("tensor")).split(":")[0],
    }


def logs(houses: Any, folder: Path) -> life.Facts:
    """Read the logs, with dates, limits and as files."""
    newest, more = said(lambda: houses.logs(limit=2))
    now = datetime.now()
    dates = {"start_datetime": now - timedelta(hours=1), "end_datetime": now + timedelta(hours=1)}
    oldest, complete = said(lambda: houses.logs(**dates))
    said(lambda: houses.export_logs(directory=str(folder / "logs"), limit=1000, **dates))
    return {
        "newest": [list(newest.columns), outputs(newest), more],
        "between dates": [len(oldest), outputs(oldest.head(2)), oldest["time"].is_monotonic_increasing, complete],
        "as a table": [str(kind) for kind in houses.logs(limit=1, arrow=True).schema.types],
        "metadata": sorted(houses.logs(limit=1, dataset=["metadata"]).columns),
        "before": len(houses.logs(start_datetime=now - timedelta(hours=2), end_datetime=now - timedelta(hours=1))),
        "one date": life.refusal(lambda: houses.logs(start_datetime=now)),
        "failures": len(houses.logs(valid=False)),
        "exported": sum(len(path.read_text().splitlines()) for path in (folder / "logs").iterdir()) == len(oldest),
    }


def task(wl: Any, houses: Any) -> life.Facts:
    """Undeploy, and let an orchestration deploy, infer and undeploy; then read its logs."""
    houses.undeploy()
    before = [life.refusal(houses.status), life.refusal(lambda: houses.infer(frame()))]
    run = life.last_run(life.uploaded(wl, "inferring", PROGRAM).run_once(name="inferring"))
    logged = wl.pipelines_by_name("houses")[0].logs(limit=1)
    return {
        "before": before,
        "run": [run._status, life.texts(run)],
        "after": life.refusal(houses.status),
        "logged": [outputs(logged, "in.tensor"), outputs(logged)],
    }


def redeployed(wl: Any) -> life.Facts:
    """Deploy a pipeline that was looked up, and one that has no steps."""
    houses = wl.pipelines_by_name("houses")[0]
    steps = houses.definition()
    houses.deploy()
    return {
        "steps": [steps, houses.definition() == steps],
        "inferred": outputs(houses.infer(frame())),
        "without steps": life.refusal(lambda: wl.build_pipeline("empty").deploy()),
        "unknown": life.refusal(lambda: wl.pipelines_by_name("nowhere")),
    }


def experiments(wl: Any, houses: Any, house: Any, folder: Path) -> life.Facts:
    """Deploy a shadow, and a random split."""
    twin = wl.upload_model("twin", folder / "twin.onnx", framework=Framework.ONNX).configure(tensor_fields=["tensor"])
    houses.clear().add_shadow_deploy(house, [twin]).deploy()
    shadow = houses.infer(frame())
    after, changed = said(houses.logs)
    houses.clear().add_random_split([(1.0, house), (0.0001, twin)]).deploy()
    return {
        "shadow": [outputs(shadow), outputs(shadow, "out_twin.variable")],
        "logs after the change": [len(after), "schema has changed" in changed],
        "split": list(houses.infer(frame()).columns),
        "undeployed": life.refusal(houses.undeploy().status),
    }


def lists(wl: Any, house: Any) -> life.Facts:
    """Every list as a notebook shows it."""
    workspace = wl.get_current_workspace()
    return {
        "models": life.columns(wl.list_models()._repr_html_(), "Name", "# of Versions"),
        "pipelines": life.columns(wl.list_pipelines()._repr_html_(), "name", "deployed"),
        "of the workspace": [sorted(each.name() for each in workspace.models()), sorted(each.name() for each in workspace.pipelines())],
        "counted": [row[3:5] for row in life.cells(wl.list_workspaces()._repr_html_())[1:]],
        "found": wl.model_by_name("house", house.version()).name(),
        "another version": life.refusal(lambda: wl.model_by_name("house", "none")).split(":")[0],
        "tags": wl.list_tags(),
    }


def whole(wl: Any, folder: Path, parallel: Callable[[Any], Any]) -> tuple[Any, life.Facts]:
    """Do all of it; return the model and the facts. `parallel` calls `parallel_infer` as this version takes it."""
    house, facts = model(wl, folder)
    houses, of_pipeline = pipeline(wl, house)
    all_of_them = {"model": facts, "pipeline": of_pipeline, "inferences": inferences(houses, folder)}
    all_of_them["in parallel"] = asyncio.run(parallel(houses))
    all_of_them |= {"logs": logs(houses, folder), "task": task(wl, houses), "redeployed": redeployed(wl)}
    return house, all_of_them | {"experiments": experiments(wl, houses, house, folder), "lists": lists(wl, house)}
