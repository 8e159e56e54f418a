"""A real notebook, executed by nbclient and a kernel, in an environment that this test makes for it. It needs a package index."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import orchlite

_ROOT = Path(orchlite.__file__).parents[1]
_CELLS = [
    """
from pathlib import Path
from orchlite import Client
folder = Path("folder")
folder.mkdir()
(folder / "main.py").write_text("import time\\nprint('<i>text</i>', flush=True)\\ntime.sleep(2)")
wl = Client.temporary()
orchestration = wl.upload_orchestration(path=folder, name="<b>name</b>").wait()
task = orchestration.run_once()
""",
    "task.wait()",
    "task.last_runs()[0].logs()",
    "orchestration",
    "wl.get_current_workspace()",
    "wl.events()[0]",
    "wl.list_tasks()",
    "wl.check()",
    "wl.close()",
]
_EXECUTE = """
import json, sys
import nbclient, nbformat
cells = [nbformat.v4.new_code_cell(text.strip()) for text in json.loads(sys.stdin.read())]
notebook = nbformat.v4.new_notebook(cells=cells)
nbclient.NotebookClient(notebook, timeout=120).execute()
sys.stdout.write(nbformat.writes(notebook))
"""

pytestmark = pytest.mark.slow


def html(cell: dict[str, Any]) -> list[str]:
    """What a cell shows, output by output."""
    return ["".join(output["data"]["text/html"]) for output in cell["outputs"] if "data" in output]


def executed(folder: Path) -> list[dict[str, Any]]:
    """Return the cells with their outputs; skip the test if there is no package index."""
    subprocess.run([sys.executable, "-m", "virtualenv", "--quiet", "--no-pip", str(folder / "env")], check=True)
    python = str(folder / "env" / "bin" / "python")
    wanted = ["nbclient", "ipykernel", "croniter>=7,<8", "platformdirs>=4", "virtualenv>=21.15,<22"]
    if subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *wanted], check=False).returncode:
        pytest.skip("nbclient cannot be installed here")
    [packages] = (folder / "env" / "lib").glob("python*/site-packages")
    (packages / "orchlite-under-test.pth").write_text(f"{_ROOT}\n")
    command = [python, "-c", _EXECUTE]
    done = subprocess.run(command, input=json.dumps(_CELLS), cwd=folder, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["cells"]
    return found


def test_handles_and_lists_are_tables_logs_are_text_and_waiting_shows_a_line_that_ends_with_the_runs_end(tmp_path: Path) -> None:
    _, waited, logs, *tables, findings, _ = map(html, executed(tmp_path))
    line, table = waited
    assert ": success, " in line
    assert table.startswith("<table>")
    assert logs == ["<pre>&lt;i&gt;text&lt;/i&gt;\n</pre>"]
    assert [len(table) for table in tables] == [1, 1, 1, 1]  # orchestration, workspace, event, tasks
    assert all(table.startswith("<table>") and "<b>name" not in table for [table] in tables)
    assert findings == ["(empty)"]
