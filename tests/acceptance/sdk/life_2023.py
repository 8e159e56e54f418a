"""A whole life with version 2023.2.1 of the SDK; prints what it saw as JSON. Arguments: a folder to write in."""

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
    made = wl.create_workspace("lab")
    wl.set_current_workspace(made)
    return {
        "another than the default": default.id() != made.id(),
        "current": wl.get_current_workspace().name(),
        "found": [made.name(), made.archived(), len(made.users()), made.models(), made.pipelines()],
        "there already": life.refusal(lambda: wl.create_workspace("lab")),
    }


def main(folder: Path) -> None:
    """Print the facts."""
    wl = wallaroo.Client()
    facts: life.Facts = {"version": wallaroo.__version__, "workspaces": workspaces(wl), "users": life.users(wl)}
    greeting, facts["uploads"] = life.uploads(wl, folder)
    minutely = life.every_minute(greeting)
    facts |= {"run": life.one_run(wl, greeting), "bad ends": life.bad_ends(greeting), "kill": life.kill(wl, greeting)}
    facts |= {"connections": life.connections(wl), "schedule": life.schedule(minutely), "lists": life.lists(wl, greeting)}
    print("\n" + json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
