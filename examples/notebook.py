"""A notebook of the platform in one file, with its own SDK, unmodified: a model and a pipeline, a bundle that infers, and the logs of both.

Run `orchlite serve`, paste its export lines into another terminal, and run this there, where `pip install wallaroo` was done.
The lines with %% are cells for editors and Jupytext.
"""

# %% Connect.

import io
import time
import zipfile
from pathlib import Path

import pandas as pd
import wallaroo

wl = wallaroo.Client()
wl.set_current_workspace(wl.get_workspace("houses", create_if_not_exist=True))

# %% Upload a model, and try it in a pipeline.

file = Path(__file__).with_name("models") / "house_prices.onnx"
model = wl.upload_model("house-prices", str(file), framework=wallaroo.framework.Framework.ONNX)
model.configure(tensor_fields=["tensor"])

pipeline = wl.build_pipeline("house-prices").add_model_step(model).deploy()
result = pipeline.infer(pd.DataFrame({"tensor": [[3.0, 2.0, 120.0, 15.0]]}))
print(result["out.price"].to_list())
pipeline.undeploy()

# %% Write the program that is to infer.

MAIN = """
import pandas as pd
import wallaroo

wl = wallaroo.Client()
arguments = wl.task_args()
wl.set_current_workspace(wl.get_workspace(arguments["workspace"]))
pipeline = wl.get_pipeline(arguments["pipeline"]).deploy()
result = pipeline.infer(pd.DataFrame({"tensor": arguments["houses"]}))
pipeline.undeploy()
print(len(result), "prices, the highest", result["out.price"].str[0].max())
"""

bundle = io.BytesIO()
with zipfile.ZipFile(bundle, "w") as archive:
    archive.writestr("main.py", MAIN)

orchestration = wl.upload_orchestration(bytes_buffer=bundle.getvalue(), name="valuation", file_name="valuation.zip")
while orchestration.status() not in ("ready", "error"):
    time.sleep(0.5)
print(orchestration.name(), orchestration.status())

# %% Run it once.

arguments = {"workspace": "houses", "pipeline": "house-prices", "houses": [[4.0, 3.0, 180.0, 2.0], [2.0, 1.0, 60.0, 40.0]]}
task = orchestration.run_once(name="valuation", json_args=arguments)
while not (ended := [*task.last_runs(status="success"), *task.last_runs(status="failure")]):
    time.sleep(0.5)

# %% Read the log of the run.

for line in ended[0].logs():
    print(line)

# %% Read the log of the pipeline: what was inferred here, and in the run.

print(pipeline.logs()[["in.tensor", "out.price"]])
