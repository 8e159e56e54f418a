"""Programs say the same in a task, with orchlite's `wallaroo`, and outside, with the platform's own SDK against the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite import rest
from orchlite.sdk.wallaroo import Client, _store
from tests.acceptance import program_scene as scene
from tests.acceptance.program_scene import ARGUMENTS
from tests.acceptance.sdk.conftest import Run
from tests.acceptance.sdk.real_sdk import SDK_2023, SDK_2026, InstallStep
from tests.onnx_models import weighing

pytestmark = pytest.mark.slow

_ARGUMENTS_OF_A_TASK = f"import wallaroo\nwallaroo.Client.task_args = lambda self: {ARGUMENTS}\nwallaroo.task_args = lambda: {ARGUMENTS}\n"
"""Outside of a task, the SDK would read a file below /home."""
_LOOKUPS_OF_2024 = """\
def get_workspace(client, name, **_):
    return next(workspace for workspace in client.list_workspaces() if workspace.name() == name)
wallaroo.Client.get_workspace = get_workspace
wallaroo.Client.get_pipeline = lambda client, name, **_: client.pipelines_by_name(name)[0]
"""
"""What 2023.2.1 lacks, and these programs call."""
_EQUAL = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"datetime\.datetime\([\d, ]+"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.+]+"), "<time>"),
)


@pytest.fixture
def url() -> Iterator[str]:
    with scene.serving_a_table() as url:
        yield url


def prepared(folder: Path, name: str, details: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return a store as the program finds it, and the folder of its bundle."""
    bundle = folder / "bundle"
    bundle.mkdir(parents=True)
    weighing(bundle / "new.onnx", [3.0, 2.0, 1.0])
    monkeypatch.setenv("ORCHLITE_STORE", str(folder / "store"))
    wl: Any = Client()
    scene.prepare(wl, folder)
    if name == "shadow_report":
        scene.prepare_shadow(wl, folder)
    wl.create_connection(ARGUMENTS["connection_name"], "ANY", {**details, "file": str(folder / "report.db")})
    _store.close()
    return folder / "store", bundle


def in_a_task(store: Path, bundle: Path, text: str) -> list[str]:
    (bundle / "main.py").write_text(text, encoding="utf-8")
    with orchlite.Client(store) as client:
        run = client.run(bundle, ARGUMENTS, timeout=120).raise_for_failure()
        return [line.text for line in run.logs() if line.stream == "stdout"]


def outside(run: Run, sdk: tuple[InstallStep, ...], store: Path, bundle: Path, text: str) -> list[str]:
    (bundle / "main.py").write_text(_ARGUMENTS_OF_A_TASK + text, encoding="utf-8")
    with orchlite.Client(store) as client, rest.serve(client, port=0) as server:
        done = run(sdk, "", "main.py", folder=bundle, variables=server.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def comparable(line: str) -> str:
    for pattern, word in _EQUAL:
        line = pattern.sub(word, line)
    return line


@pytest.mark.parametrize(
    "name",
    [
        *("lookup_with_fallback", "deploy_without_waiting", "from_files", "logs_by_dates", "new_version"),
        *("shadow_report", "python_step", "several_pipelines"),
    ],
)
def test_a_program_says_the_same(name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    text = scene.program(name).replace("import requests", "import httpx as requests")  # which both environments have
    details = {"host": url, "houses": {"tensor": scene.ROWS}}
    ours = in_a_task(*prepared(tmp_path / "ours", name, details, monkeypatch), text)
    theirs = outside(run, SDK_2026, *prepared(tmp_path / "theirs", name, details, monkeypatch), text)
    assert list(map(comparable, ours)) == list(map(comparable, theirs))


@pytest.mark.parametrize("name", ["lookup_with_fallback", "logs_by_dates", "shadow_report"])
def test_a_program_says_the_same_with_the_sdk_of_2023(
    name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    text = scene.program(name).replace("import requests", "import httpx as requests")
    details = {"host": url, "houses": {"tensor": scene.ROWS}}
    ours = in_a_task(*prepared(tmp_path / "ours", name, details, monkeypatch), text)
    theirs = outside(run, SDK_2023, *prepared(tmp_path / "theirs", name, details, monkeypatch), _LOOKUPS_OF_2024 + text)
    # Its frames have one column of all checks that failed.
    assert [comparable(line).replace("anomaly.count", "check_failures") for line in ours] == list(map(comparable, theirs))
