"""A command for notifications that notes what it was called with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# Adds its arguments and its whole environment to a file, as one line.
_NOTES = """
import json, os, sys
line = json.dumps({"arguments": sys.argv[2:], "environment": dict(os.environ)}) + "\\n"
descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(descriptor, line.encode())
"""


class Notebook:
    """The notifications that were sent."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "told.jsonl"
        self._program = folder / "notes.py"
        self._program.write_text(_NOTES)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(self._program), str(self._path), *arguments]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []

    def run_ids(self) -> list[str]:
        return self.values("RUN_ID")

    def values(self, name: str) -> list[str]:
        """Return a variable of each notification, by its name without the prefix."""
        return [line["environment"][f"ORCHLITE_{name}"] for line in self.lines()]
