"""Run examples/connector, with a pipeline and a web server that are made for it, and read the pipeline's logs afterwards."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow as pa

from orchlite import Client

EXAMPLES = Path(__file__).parent
TOKEN = "open-sesame"
HOUSES = pa.table({"tensor": pa.array([[3, 2, 120, 15], [4, 3, 180, 2], [2, 1, 60, 40]], pa.list_(pa.float32(), 4))})


class Source(BaseHTTPRequestHandler):
    """Serves the table of houses as an Arrow file, to requests that have the token."""

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.send_error(401)
            return
        self.send_response(200)
        self.end_headers()
        with pa.ipc.new_file(self.wfile, HOUSES.schema) as file:
            file.write(HOUSES)

    def log_message(self, *_: object) -> None: ...


with Client.temporary() as wl, ThreadingHTTPServer(("127.0.0.1", 0), Source) as source:
    Thread(target=source.serve_forever, daemon=True).start()
    wl.set_current_workspace(wl.create_workspace("houses"))
    model = wl.upload_model("house-prices", EXAMPLES / "models" / "house_prices.onnx").configure(tensor_fields=["tensor"])
    pipeline = wl.build_pipeline("house-prices").add_model_step(model)
    pipeline.deploy().undeploy()  # that stores the steps, which the program deploys
    wl.create_connection("new-houses", "HTTP", {"url": f"http://127.0.0.1:{source.server_port}/houses.arrow", "token": TOKEN})

    arguments = {"workspace": "houses", "pipeline": "house-prices", "connection": "new-houses"}
    run = wl.run(EXAMPLES / "connector", arguments).raise_for_failure()
    print(run.logs(), end="")
    print(pipeline.logs()[["in.tensor", "out.price"]])
