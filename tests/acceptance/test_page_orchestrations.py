"""The page in a real browser: a folder is dropped, checked, uploaded and packaged; a run of it fails, and is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchlite

pytestmark = pytest.mark.slow

Take = Callable[[str, str], None]
Until = Callable[[Callable[[], object]], None]

_PROGRAM = """import sys

from helper import rows

print(f"{len(rows)} rows")
sys.exit(f"ValueError: no row {len(rows)} of 'prices'")
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder as it lies on a disk, with what is never packed."""
    folder = tmp_path / "night job"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "large").write_bytes(bytes(1_000_000))
    (folder / "__pycache__").mkdir()
    (folder / "main.py").write_text(_PROGRAM)
    (folder / "helper.py").write_text("rows = [1, 2]\n")
    (folder / "requirements.txt").write_text("")
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "deep" / "prices.csv").write_text("a,b\n1,2\n")
    return folder


def _drop(window: Any, path: Path) -> None:
    """Drop a file or a folder onto the form, as a hand with a mouse does."""
    box = window.tab.locator("#upload").bounding_box()
    session = window.tab.context.new_cdp_session(window.tab)
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 50, "y": box["y"] + 50}
        session.send(
            "Input.dispatchDragEvent", {"type": kind, **place, "data": {"items": [], "files": [str(path)], "dragOperationsMask": 1}}
        )


def _upload(window: Any) -> None:
    window.tab.wait_for_url("**/orchestrations/checked/*")
    assert "It would be accepted, with 1 warning." in window.tab.text_content("main")
    window.tab.get_by_role("button", name="Upload").click()
    window.tab.wait_for_url(lambda url: "/checked/" not in url)


def test_a_folder_is_dropped_checked_uploaded_packaged_and_run(window: Any, client: orchlite.Client, job: Path, until: Until) -> None:
    tab = window.go("/orchestrations")
    _drop(window, job)
    _upload(window)
    [one] = client.list_orchestrations()
    assert one.name() == "night job"
    assert [warning for warning in one.warnings() if ".git" in warning]
    tab.locator("#state .badge.ready").wait_for()
    assert "main.py" in tab.text_content("main")
    assert window.barriers() == []

    tab.get_by_text("Run once").click()
    tab.get_by_role("button", name="Run", exact=True).click()
    until(lambda: [run.status() for run in client.list_runs()] == ["failure"])
    tab = window.go("/failures")
    assert "ValueError: no row 2 of 'prices'" in tab.text_content("main")
    assert window.barriers() == []

    tab = window.go(f"/orchestrations/{one.id()}")
    tab.get_by_text("Schedule", exact=True).first.click()
    tab.get_by_label("Name of the task", exact=True).fill("nightly")
    tab.get_by_label("Schedule, five fields").fill("30 2 * * *")
    tab.get_by_label("Time zone", exact=True).fill("Europe/Berlin")
    tab.get_by_role("button", name="Schedule").click()
    tab.wait_for_url("**/tasks/*")
    assert client.get_task("nightly").timezone() == "Europe/Berlin"


def test_a_folder_that_is_refused_says_why(window: Any, client: orchlite.Client, job: Path) -> None:
    (job / "main.py").unlink()
    tab = window.go("/orchestrations")
    _drop(window, job)
    tab.wait_for_url("**/orchestrations/checked/*")
    assert "It would be refused." in tab.text_content("main")
    assert "main.py" in tab.text_content("main")
    assert window.barriers() == []
    assert client.list_orchestrations() == []


def test_what_is_too_large_is_not_sent(window: Any, client: orchlite.Client, job: Path) -> None:
    with (job / "large.bin").open("wb") as file:
        file.truncate(101 * 1024**2)
    tab = window.go("/orchestrations")
    _drop(window, job)
    tab.get_by_text("It has more than 100 MiB, which is the limit.").wait_for()
    tab.reload()
    tab.set_input_files("#zip", job / "large.bin")
    tab.get_by_role("button", name="Check it").click()
    tab.get_by_text("It has more than 100 MiB, which is the limit.").wait_for()


def test_a_folder_is_chosen_without_a_script(chromium: Any, server: Any, client: orchlite.Client, job: Path) -> None:
    from orchlite.cli.login_address import login_address

    with chromium.new_context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(login_address(server.url, server.token))
        tab.get_by_role("button").click()
        tab.goto(f"{server.url}/orchestrations")
        tab.set_input_files("#folder", job)
        tab.get_by_role("button", name="Check it").click()
        assert "It would be accepted" in tab.text_content("main")
        tab.get_by_role("button", name="Upload").click()
        assert [one.name() for one in client.list_orchestrations()] == ["night job"]


def test_what_was_found_is_fit_to_be_seen(window: Any, job: Path, screenshots: Take) -> None:
    (job / "main.py").write_text("import left_pad\nfrom helper import rows\n")
    (job / "requirements.txt").write_text("six==1.17.0\nattrs\n")
    window.go("/orchestrations")
    _drop(window, job)
    window.tab.wait_for_url("**/orchestrations/checked/*")
    assert window.barriers() == []
    screenshots(window.tab.url.removeprefix(window.url), "checked")


def test_pages_are_fit_to_be_seen(window: Any, filled: str, screenshots: Take, until: Until) -> None:
    assert "being examined" in window.go("/health").text_content("main")
    assert window.barriers() == []
    until(lambda: "being examined" not in window.tab.text_content("main"))  # by itself
    assert "is intact" in window.tab.text_content("main")
    for path, name in {
        "/orchestrations": "orchestrations",
        f"/orchestrations/{filled}": "orchestration",
        "/models": "models",
        "/models/1": "model",
        "/pipelines/1": "pipeline",
        "/failures": "failures",
        "/health": "health",
    }.items():
        window.go(path)
        assert (name, window.barriers()) == (name, [])
        screenshots(path, name)


@pytest.fixture
def filled(client: orchlite.Client, folder: Callable[..., Path], tmp_path: Path) -> str:
    """Fill the store with something of each kind. Return the id of an orchestration."""
    fails = "import sys\nfor n in range(3): print('row', n)\n{'a': 1}[sys.version[:1] + ' not there']\n"
    for name in ("import orders", "daily report", "scoring", "scoring"):
        one = client.upload_orchestration(
            path=folder({"main.py": f"import left_pad_{len(name)} as x\n" if "s" not in name else fails, "a.csv": "1"}), name=name
        ).wait()
    one.run_scheduled("score every night", "30 2 * * *", timezone="Europe/Berlin")
    one.run_scheduled("score customers", "@hourly")
    for name in ("by hand", "again", "<script>alert(1)</script>"):
        client.get_orchestration("scoring").run_once(name).wait()
    client.get_orchestration("daily report").run_once("report").wait()
    step = tmp_path / "double.py"
    step.write_text("def process_data(columns):\n    return {'price': columns['x'] * 2}\n")
    first, second = (client.upload_model("double", step, "python") for _ in range(2))
    pipeline = client.build_pipeline("prices").add_model_step(first).deploy()
    client.build_pipeline("shadow").add_shadow_deploy(second, [client.upload_model("triple", step, "python")])
    import numpy as np
    import pandas as pd

    for x in range(5):
        pipeline.infer(pd.DataFrame({"x": np.array([x + 0.5])}))
    return one.id()
