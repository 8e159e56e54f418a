"""Infer with a shadow deployment, run examples/shadow_report on it twice, and show what is in its database, a file."""

import sqlite3
import tempfile
from pathlib import Path

from orchlite import Client

MODELS = Path(__file__).with_name("models")
HOUSES = [[3.0, 2.0, 120.0, 15.0], [4.0, 3.0, 180.0, 2.0], [2.0, 1.0, 60.0, 40.0]]

with Client.temporary() as wl, tempfile.TemporaryDirectory() as scratch:
    wl.set_current_workspace(wl.create_workspace("houses"))
    champion, challenger = (
        wl.upload_model(name, MODELS / f"{name.replace('-', '_')}.onnx").configure(tensor_fields=["tensor"])
        for name in ("house-prices", "house-prices-by-area")
    )
    pipeline = wl.build_pipeline("house-prices").add_shadow_deploy(champion, [challenger]).deploy()
    for house in HOUSES:
        pipeline.infer({"tensor": [house]})
    pipeline.undeploy()

    path = Path(scratch, "results.sqlite")
    wl.create_connection("results", "SQL", {"url": f"sqlite:///{path}"})
    report = wl.upload_orchestration(path=Path(__file__).with_name("shadow_report"))
    for hours in (1, 24):  # the second period contains the first
        arguments = {"workspace": "houses", "pipeline": "house-prices", "connection": "results", "hours": hours}
        print(report.run_once(json_args=arguments).wait().raise_for_failure().logs(), end="")

    database = sqlite3.connect(path)
    for row in database.execute("SELECT house, model, price FROM shadow_results ORDER BY at, model"):
        print(*row)
    database.close()
