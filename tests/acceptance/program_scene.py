"""What the programs in `programs/*.txt` find: arguments, a workspace with a model and a pipeline, and an HTTP server with a table."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa

import orchlite.sdk.wallaroo as wallaroo
from tests.onnx_models import weighing

ARGUMENTS = {"workspace_name": "houses", "pipeline_name": "house-prices", "connection_name": "new-houses", "model_name": "house-model"}
ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
ONNX = wallaroo.framework.Framework.ONNX


def program(name: str) -> str:
    """Return the text of a program."""
    return (Path(__file__).with_name("programs") / f"{name}.txt").read_text(encoding="utf-8")


def prepare(wl: Any, folder: Path) -> None:
    """Do what a notebook has done before: upload a model, build a pipeline of it, deploy it once."""
    wl.set_current_workspace(wl.create_workspace(ARGUMENTS["workspace_name"]))
    model = wl.upload_model(ARGUMENTS["model_name"], weighing(folder / "old.onnx", [1.0, 2.0, 3.0]), framework=ONNX)
    wl.build_pipeline(ARGUMENTS["pipeline_name"]).add_model_step(model.configure(tensor_fields=["tensor"])).deploy().undeploy()


def prepare_shadow(wl: Any, folder: Path) -> None:
    """Let a rival run beside the model, and infer once."""
    champion = wl.get_model(ARGUMENTS["model_name"])
    rival = wl.upload_model("rival", weighing(folder / "rival.onnx", [3.0, 2.0, 1.0]), framework=ONNX)
    pipeline = wl.build_pipeline(ARGUMENTS["pipeline_name"]).add_shadow_deploy(champion, [rival]).deploy()
    pipeline.infer(pa.table({"tensor": ROWS}))


@contextmanager
def serving_a_table() -> Iterator[str]:
    """Serve an Arrow file on a free port; yield the address."""
    table, sink = pa.table({"tensor": ROWS}), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write(table)
    content = sink.getvalue().to_pybytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
