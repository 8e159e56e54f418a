"""Replace the model of a pipeline by a new version of it, and show how the prices of some houses change."""

import pandas as pd
import wallaroo
from wallaroo.framework import Framework

FILE = "house_prices.onnx"
HOUSES = pd.DataFrame({"tensor": [[3.0, 2.0, 120.0, 15.0], [4.0, 3.0, 180.0, 2.0], [2.0, 1.0, 60.0, 40.0]]})


def main() -> None:
    wl = wallaroo.Client()
    arguments = wl.task_args()
    wl.set_current_workspace(wl.get_workspace(arguments["workspace"]))
    pipeline = wl.get_pipeline(arguments["pipeline"])
    old = wl.get_model(arguments["model"])
    new = wl.upload_model(old.name(), FILE, framework=Framework.ONNX).configure(tensor_fields=["tensor"])

    prices = {}
    try:
        for label, version in (("old", old), ("new", new)):
            pipeline.clear().add_model_step(version).deploy()
            prices[label] = pipeline.infer(HOUSES)["out.price"].str[0]
    finally:
        pipeline.undeploy()

    table = pd.DataFrame(prices)
    table["change"] = (table["new"] / table["old"] - 1).map("{:+.1%}".format)
    print(f"{old.name()}: {old.version()} is replaced by {new.version()}")
    print(table)


if __name__ == "__main__":
    main()
