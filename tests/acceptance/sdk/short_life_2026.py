"""A run and a kill with version 2026.1.3 of the SDK; prints what it saw as JSON. Arguments: a folder to write in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import wallaroo

from tests.acceptance.sdk import life


def main(folder: Path) -> None:
    """Print the facts."""
    wl = wallaroo.Client()
    greeting, _ = life.uploads(wl, folder)
    print("\n" + json.dumps({"run": life.one_run(wl, greeting), "kill": life.kill(wl, greeting)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
