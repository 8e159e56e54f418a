"""Run examples/new_model on a pipeline with the old version, and deploy afterwards what it left."""

from pathlib import Path

from orchlite import Client

EXAMPLES = Path(__file__).parent

with Client.temporary() as wl:
    wl.set_current_workspace(wl.create_workspace("houses"))
    old = wl.upload_model("house-prices", EXAMPLES / "models" / "house_prices.onnx").configure(tensor_fields=["tensor"])
    wl.build_pipeline("house-prices").add_model_step(old).deploy().undeploy()

    arguments = {"workspace": "houses", "pipeline": "house-prices", "model": "house-prices"}
    print(wl.run(EXAMPLES / "new_model", arguments).raise_for_failure().logs())

    pipeline = wl.get_pipeline("house-prices").deploy()  # the steps that were deployed last
    [model] = pipeline.steps()[0]["ModelInference"]["models"]
    print("deployed:", "the new version" if model["version"] != old.version() else "the old version")
    print(pipeline.infer({"tensor": [[3.0, 2.0, 120.0, 15.0]]}))
