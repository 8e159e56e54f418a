"""A client of the real SDK, made as its argument says; prints who it is and what it sees as JSON. Runs with both versions."""

from __future__ import annotations

import json
import sys

import wallaroo

from tests.acceptance.sdk import life


def main(auth_type: str) -> None:
    """Log in, and print what the account sees."""
    wl = wallaroo.Client(auth_type=auth_type)
    facts = {
        "email": wl.auth.user_email(),
        "current": wl.get_current_workspace().name(),
        "users": [life.cells(wl.list_workspaces()._repr_html_())[1][2]],
        "tasks": wl.list_tasks()._repr_html_(),
    }
    print("\n" + json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
