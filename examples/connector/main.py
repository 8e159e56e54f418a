"""Fetch a table of houses through a connection, and let a pipeline, which is deployed for that time only, find their prices."""

from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.compute as pc
import wallaroo


def fetch(details: dict[str, str]) -> pa.Table:
    request = Request(details["url"], headers={"Authorization": f"Bearer {details['token']}"})
    with urlopen(request, timeout=60) as response:
        return pa.ipc.open_file(response.read()).read_all()


def main() -> None:
    wl = wallaroo.Client()
    arguments = wl.task_args()
    wl.set_current_workspace(wl.get_workspace(arguments["workspace"]))
    pipeline = wl.get_pipeline(arguments["pipeline"])
    connection = wl.get_connection(arguments["connection"])

    houses = fetch(connection.details())
    print(f"{houses.num_rows} houses from {connection.name()}", flush=True)

    config = wallaroo.DeploymentConfigBuilder().replica_count(1).cpus(0.5).memory("1Gi").build()
    pipeline.deploy(deployment_config=config)
    try:
        results = pipeline.infer(houses)
    finally:
        pipeline.undeploy()

    prices = pc.list_element(results["out.price"], 0)
    print(f"{results.num_rows} prices by {pipeline.name()}: {pc.min(prices)} to {pc.max(prices)}, {pc.mean(prices)} on average")


if __name__ == "__main__":
    main()
