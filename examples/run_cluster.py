"""Run examples/cluster on a Ray cluster, four parts at a time: ORCHLITE_RAY_TOKEN=... python examples/run_cluster.py http://head:8265."""

import os
import sys
from pathlib import Path

from orchlite import Client
from orchlite.ray import RayJobs

PARTS = 4

engine = RayJobs(sys.argv[1], token=os.environ.get("ORCHLITE_RAY_TOKEN"))

with Client.temporary(engine=engine, workers=PARTS) as wl:
    orchestration = wl.upload_orchestration(path=Path(__file__).with_name("cluster"))
    tasks = [orchestration.run_once(f"part {part}", {"part": part, "parts": PARTS}) for part in range(PARTS)]
    runs = [task.wait().raise_for_failure() for task in tasks]
    for run in runs:
        print(run.logs(), end="")
    print(f"pi is about {sum(run.metrics()['sum'] for run in runs):.5f}")
