"""Run an orchestration from its folder, and print its log: python examples/run_local.py [FOLDER]."""

import sys
from pathlib import Path

from orchlite import Client

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("report")

with Client.temporary() as wl:
    print(f"making the environment of {folder.name}: once, then it is cached", flush=True)
    orchestration = wl.upload_orchestration(path=folder, name=folder.name).wait()
    print(f"{orchestration.name()} is {orchestration.status()}, with {', '.join(orchestration.installed()) or 'no requirements'}")
    run = orchestration.run_once(json_args={"top": 3}).wait()
    print(run.logs(), end="")
    print(f"{run.status()} in {run.duration():.2f} s; made {[path.name for path in run.files()]}")

sys.exit(run.exit_code())
