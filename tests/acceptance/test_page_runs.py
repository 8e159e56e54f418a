"""The page of a run in a real browser: its log grows, is searched and killed; whatever a program writes stays text, in its box."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

import orchlite
from orchlite import TaskRun
from orchlite.client.run_log import RunLog
from orchlite.runs.runner.log_writer import LogWriter

pytestmark = pytest.mark.slow

MakeFolder = Callable[..., Path]

_TICKS = """
import pathlib, sys, time
for number in range(100_000):
    print("tick", number, flush=True)
    if number > 120:
        time.sleep(0.05)
    if pathlib.Path(sys.argv[0]).with_name("stop").exists():
        break
"""
_NIGHT = r"""
import json, pathlib, sys, orchlite
arguments = orchlite.task_args()
print("\x1b[36mINFO\x1b[0m  reading invoices of", arguments["day"])
for number in range(120):
    print(f"\x1b[32mok\x1b[0m     invoice {number:05d}   total {number * 17.31:10.2f} EUR")
for percent in range(0, 101, 5):
    print(f"\r{percent:3d} % |{'#' * (percent // 4):25}|", end="", file=sys.stderr)
print(file=sys.stderr)
print("\x1b[33mWARN\x1b[0m  3 invoices have no customer", file=sys.stderr)
pathlib.Path("report.csv").write_text("day,customer,total\n" + "".join(f"2026-11-{n:02d},Customer {n},{n * 99.5}\n" for n in range(1, 29)))
pathlib.Path("summary.json").write_text(json.dumps({"day": arguments["day"], "invoices": 120, "skipped": [17, 23], "ok": True}))
pathlib.Path("metrics.json").write_text('{"rows": 120, "loss": 0.25}')
if arguments.get("strict"):
    raise ValueError(f"3 invoices of {arguments['day']} have no customer; the first is 00017")
"""
_HOSTILE = r"""
import os, pathlib
print("<script>document.title = 'stolen'</script><img src=x onerror=\"document.title='stolen'\">")
print("\x1b]0;title\x07\x1b[8mconcealed\x1b[0m \x1b[30;40mblack on black\x1b[0m \u202egnp.exe\u202c \x9b31mred? \x00\x08\x7f")
print("Z" + "\u0300\u0301\u0302\u0303" * 200)
print("\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea")
print("w" * 1024 * 1024)
name = "<img src=x onerror=alert(1)> \u202egnp.exe"
pathlib.Path(name).write_text("<script>alert(1)</script>\u202e")
pathlib.Path("n" * 200).write_text("w" * 1024 * 1024)
pathlib.Path("plot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="90" height="50" onload="alert(1)">'
    '<rect width="90" height="50" fill="red"/>' "<script>alert(1)</script><image href=\"https://example.com/x.png\"/></svg>")
pathlib.Path("wide.csv").write_text(",".join(f"column {n}" for n in range(60)) + "\n" + ",".join("<b>" for n in range(60)) + "\n")
"""


def _run(client: orchlite.Client, folder: Path, arguments: dict[str, Any] | None = None, name: str = "night") -> TaskRun:
    [run] = client.upload_orchestration(path=folder, name=name).wait(60).run_once(name, arguments).last_runs()
    return run


def _text(tab: Any) -> str:
    return str(tab.locator(".log-box").inner_text())


def _until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so: the page's own rules forbid Playwright to wait for an expression."""
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def _from_end(tab: Any) -> float:
    return float(tab.evaluate("(box => box.scrollHeight - box.scrollTop - box.clientHeight)(document.querySelector('.log-box'))"))


def test_a_log_is_followed_until_one_scrolls_up_and_its_run_is_killed(window: Any, client: orchlite.Client, folder: MakeFolder) -> None:
    run = _run(client, folder(_TICKS))
    tab = window.go(f"/runs/{run.id()}")
    expect(tab.locator(".log-box")).to_contain_text("tick 150", timeout=15_000)
    assert _from_end(tab) < 24
    tab.locator(".log-box").hover()
    tab.mouse.wheel(0, -400)
    tab.wait_for_selector(".follow:visible")
    top = tab.evaluate("document.querySelector('.log-box').scrollTop")
    last = _text(tab).split()[-1]
    _until(lambda: _text(tab).split()[-1] != last)
    assert tab.evaluate("document.querySelector('.log-box').scrollTop") == top
    tab.click(".follow")
    tab.wait_for_selector(".follow", state="hidden")
    assert _from_end(tab) < 24
    tab.click("summary:has-text('Kill')")
    tab.click("form button:has-text('Kill')")
    tab.wait_for_selector("h1 .badge.killed")
    assert run.wait(20).status() == "killed"
    expect(tab.locator("[data-live-log]")).to_have_count(0)
    assert [line for line in _text(tab).splitlines() if line.strip()][-1] == str(run.logs()).splitlines()[-1]
    assert "Kill" not in tab.inner_text("main")


def test_a_failed_night_is_explained_searched_and_run_again(
    window: Any, client: orchlite.Client, folder: MakeFolder, screenshots: Callable[[str, str], None]
) -> None:
    good = _run(client, folder(_NIGHT), {"day": "2026-11-25"}).wait(30)
    assert good.status() == "success"
    failed = _run(client, folder(_NIGHT + "\n# version 2\n"), {"day": "2026-11-26", "strict": True}).wait(30)
    tab = window.go(f"/runs/{failed.id()}")
    assert "ValueError: 3 invoices of 2026-11-26 have no customer" in tab.inner_text(".why")
    assert "main.py" in tab.inner_text("#run-beside")
    assert "2026-11-25" in tab.inner_text("#run-beside .changes >> nth=1")
    assert "100 % |#########################|" in _text(tab)
    assert " 95 %" not in _text(tab)
    tab.click(".log-links >> text=Traceback")
    tab.wait_for_selector("#found:has-text('Traceback (most recent call last)')")
    tab.fill("[name=q]", "INVOICE 00003")
    tab.press("[name=q]", "Enter")
    tab.wait_for_selector("#found mark:has-text('invoice 00003')")
    tab.click("button:has-text('Earlier')")
    tab.wait_for_selector(".log-message:has-text('Nothing earlier has')")
    assert window.barriers() == []
    screenshots(f"/runs/{failed.id()}", "failed")
    screenshots(f"/runs/{good.id()}/files/report.csv", "table")
    screenshots(f"/runs/{good.id()}/files/summary.json", "json")
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab = window.go(f"/runs/{failed.id()}")
    tab.click("summary:has-text('Run again')")
    tab.fill("#arguments", json.dumps({"day": "2026-11-27"}))
    assert window.barriers() == []
    tab.click("form button:has-text('Run again')")
    tab.wait_for_selector("h1 .badge.success")
    expect(tab.locator(".log-box")).to_contain_text("invoices of 2026-11-27", timeout=15_000)
    assert f"Repeats {failed.id()[:8]}" in tab.inner_text("#run-head")


def test_a_log_of_50_mib_opens_at_its_end_at_once_and_leads_back(window: Any, client: orchlite.Client, folder: MakeFolder) -> None:
    run = _run(client, folder("print(1)")).wait(30)
    path = RunLog(run)._path
    path.unlink()
    writer = LogWriter(str(path), 50 * 1024 * 1024)
    for start in range(0, 600_000, 1000):
        writer.feed("stdout", b"".join(b"line %07d: a line of a long log\n" % number for number in range(start, start + 1000)))
    writer.finish(durable=False)
    tab = window.go(f"/runs/{run.id()}")
    assert "line 0599999" in _text(tab)
    assert _from_end(tab) < 24
    assert tab.evaluate("performance.getEntriesByType('navigation')[0].responseEnd") < 2_000
    assert tab.evaluate("document.querySelectorAll('.row').length") < 1_000
    for _ in range(20):
        tab.locator(".log-box").hover()
        tab.mouse.wheel(0, -30_000)
        tab.wait_for_timeout(50)
    _until(lambda: tab.locator(".row").count() > 1600)
    rows = [text for text in _text(tab).splitlines() if text.startswith("line ")]
    assert rows == sorted(rows)
    assert len({*rows}) == len(rows)
    tab.fill("[name=q]", "line 0000007:")
    tab.press("[name=q]", "Enter")
    tab.wait_for_selector("#found:has-text('line 0000007')")
    tab.locator(".log-box").hover()
    tab.mouse.wheel(0, 100_000)
    expect(tab.locator(".log-box")).to_contain_text("line 0000600", timeout=15_000)


def test_what_a_hostile_program_writes_is_text_and_stays_in_its_box(
    window: Any, client: orchlite.Client, folder: MakeFolder, screenshots: Callable[[str, str], None]
) -> None:
    run = _run(client, folder(_HOSTILE), {"<script>alert(1)</script>": "\u202e", "w": "w" * 100_000}, name="w" * 250).wait(30)
    assert run.status() == "success"
    tab = window.go(f"/runs/{run.id()}")
    tab.on("dialog", lambda dialog: window.faults.append(dialog.message))
    assert "stolen" not in tab.title()
    tab.click(".log-links >> text=Start")
    expect(tab.locator(".log-box")).to_contain_text("<script>", timeout=15_000)
    shown = _text(tab)
    for text in ("<img src=x onerror=", "\\x1b]0;title\\x07concealed", "black on black", "\\u202egnp.exe\\u202c", "\u0627\u0644\u0639"):
        assert text in shown
    for number, link in enumerate(tab.locator(".files a").evaluate_all("links => links.map(link => link.getAttribute('href'))")):
        screenshots(link, f"hostile-file-{number}")
        assert tab.locator("script").count() == 1
    screenshots(f"/runs/{run.id()}", "hostile")
    screenshots(f"/runs/{run.id()}/log?at=start", "hostile-log")
