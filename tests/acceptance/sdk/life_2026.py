"""A whole life with version 2026.1.3 of the SDK; prints what it saw as JSON. Arguments: a folder to write in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import wallaroo

from tests.acceptance.sdk import life


def workspaces(wl: Any) -> life.Facts:
    """Make a workspace and go there."""
    default = wl.get_current_workspace()
    wl.set_current_workspace(wl.create_workspace("lab"))
    again = wl.get_workspace("lab")
    return {
        "another than the default": default.id() != again.id(),
        "current": wl.get_current_workspace().name(),
        "found": [again.name(), again.archived(), len(again.users()), again.models(), again.pipelines()],
        "made when missing": wl.get_workspace("annex", create_if_not_exist=True).name(),
        "missing": life.refusal(lambda: wl.get_workspace("nowhere")).split(".")[0],
        "there already": life.refusal(lambda: wl.create_workspace("lab")),
    }


def pause(orchestration: Any) -> life.Facts:
    """Pause a schedule, and resume it."""
    task = orchestration.run_scheduled(name="yearly", schedule="0 0 1 1 *")
    life.until(task.status, lambda status: status == "started")
    paused = task._pause().status()
    resumed = task._resume().status()
    return {"paused": paused, "resumed": resumed, "killed": [task.kill().value, life.until(task.status, lambda status: status == "killed")]}


def service(wl: Any) -> life.Facts:
    """Run a program continuously until it is killed."""
    task = life.uploaded(wl, "service", life.SERVICE).run_continuously(name="service")
    run = life.until(lambda: [run for run in task.last_runs() if run.logs()], bool)[0]
    shown = life.fields(task._repr_html_(), "Name", "Type", "Active")
    task.kill()
    killed = life.until(lambda: task.last_runs(status="all"), lambda runs: runs[0]._status != "running")
    return {"run": run._status, "log": life.texts(run), "shown": shown, "killed": killed[0]._status}


def away(wl: Any) -> life.Facts:
    """Download an orchestration as it was uploaded, and delete it."""
    import httpx
    from wallaroo.wallaroo_ml_ops_api_client.api.orchestration import delete_orchestrations
    from wallaroo.wallaroo_ml_ops_api_client.models import DeleteOrchestrationsBody

    unwanted = life.uploaded(wl, "unwanted", "pass\n")
    # The SDK's own function would read the ZIP as JSON.
    asked = {"id": str(unwanted.id()), "token": wl.auth.auth_header()["Authorization"].removeprefix("Bearer ")}
    content = httpx.get(f"{wl.api_endpoint}/v1/api/orchestration/download", params=asked).content
    body = DeleteOrchestrationsBody.from_dict({"orchestrations": [str(unwanted.id())], "confirm_delete": True})
    answer = delete_orchestrations.sync(client=wl.mlops(), body=body)
    return {
        "content": content == life.zipped(main_py="pass\n"),
        "freed": answer.bytes_ == len(content),
        "names": [one.name() for one in wl.list_orchestrations() if one.name() == "unwanted"],
    }


def main(folder: Path) -> None:
    """Print the facts."""
    wl = wallaroo.Client()
    facts: life.Facts = {"version": wallaroo.__version__, "workspaces": workspaces(wl), "users": life.users(wl)}
    greeting, facts["uploads"] = life.uploads(wl, folder)
    minutely = life.every_minute(greeting)
    facts |= {"run": life.one_run(wl, greeting), "bad ends": life.bad_ends(greeting), "kill": life.kill(wl, greeting)}
    facts |= {"connections": life.connections(wl), "pause": pause(greeting), "service": service(wl), "away": away(wl)}
    facts |= {"schedule": life.schedule(minutely), "lists": life.lists(wl, greeting)}
    print("\n" + json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
