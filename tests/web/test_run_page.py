"""The page of a run: why it ended, what has changed, its log and its files, and what its buttons do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite import Orchestration, TaskRun
from orchlite.client.client import engine_of
from orchlite.client.run_log import RunLog
from orchlite.runs import logs
from orchlite.testing import ManualClock, StubProcess
from orchlite.web.run_marks import LINKED_CHARACTERS
from tests.fake_cluster import FakeCluster

Seen = Callable[[str], str]
MakeFolder = Callable[..., Path]


@pytest.fixture
def orchestration(store: orchlite.Client, folder: MakeFolder) -> Orchestration:
    return store.upload_orchestration(path=folder("print(1)"), name="sums")


def _write(run: TaskRun, text: str) -> None:
    path = RunLog(run)._path
    path.parent.mkdir(parents=True, exist_ok=True)
    logs.append(path, datetime(2026, 3, 1, tzinfo=UTC), text)


def _made(run: TaskRun, name: str, content: bytes) -> Path:
    """Have a run make a file."""
    path = RunLog(run)._path.parent / "work" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class TestTheOutcome:
    def test_of_a_failure_is_told_in_words(self, browser_of: Any, folder: MakeFolder, clock: ManualClock, seen: Seen) -> None:
        with orchlite.Client.temporary(clock=clock, process=StubProcess("failure", 5)) as client:
            [run] = client.upload_orchestration(path=folder("print(1)")).run_once("sums", {"n": 1}).last_runs()
            clock.advance(minutes=1)
            _write(run, "Traceback (most recent call last):\n  ...\nValueError: no rows for today")
            page = browser_of(client).log_in().get(f"/runs/{run.id()}")
            assert 'class="message bad why">ValueError: no rows for today<' in page
            assert "failure" in seen(page)
            assert "Exit code 1" in seen(page)
            assert "took 5" in seen(page)
            assert "On request" in seen(page)

    def test_on_a_cluster_names_it_and_says_if_no_host_waits_for_it_as_the_start_page_does(
        self, browser_of: Any, folder: MakeFolder, seen: Seen, tmp_path: Path
    ) -> None:
        cluster = FakeCluster(tmp_path / "cluster")
        program = "import time\nprint('begun', flush=True)\ntime.sleep(60)"
        with orchlite.Client(tmp_path / "store", workers=1) as client:
            host = orchlite.Client(tmp_path / "store", workers=1, engine=cluster)
            [run] = host.upload_orchestration(path=folder(program)).wait().run_once().last_runs()
            next(run.logs(follow=True))
            path, browser = f"/runs/{run.id()}", browser_of(client).log_in()
            assert f"Executes on fake as {run.id()}-1" in seen(browser.get(path))
            assert "Its host is gone" not in seen(browser.get(path))
            assert "No host waits" not in seen(browser.get("/"))
            host.close(drain=False)
            assert "Its host is gone. A host with the engine fake will record how it ends." in seen(browser.get(path))
            told = f"No host waits for 1 run on fake. A host with this engine will record how it ends: {run.id()[:8]}"
            assert told in seen(browser.get("/"))
        cluster.end_jobs()

    def test_of_a_slot_names_it(self, orchestration: Orchestration, browser: Any, clock: ManualClock, seen: Seen) -> None:
        task = orchestration.run_scheduled("nightly", "@daily")
        clock.advance(days=1, minutes=5)
        [run] = task.last_runs()
        assert "Slot 2026-03-02 00:00 UTC" in seen(browser.get(f"/runs/{run.id()}"))

    def test_is_found_by_the_first_digits_of_the_id(self, orchestration: Orchestration, browser: Any) -> None:
        [run] = orchestration.run_once().last_runs()
        assert run.id() in browser.get(f"/runs/{run.id()[:18]}")
        assert "There is no run" in browser.get("/runs/00000000", 404)

    def test_of_two_runs_whose_ids_begin_alike_is_not_guessed(
        self, store: orchlite.Client, orchestration: Orchestration, browser: Any, seen: Seen
    ) -> None:
        task, rows = orchestration.run_scheduled("nightly", "@daily"), engine_of(store).store
        ids = [f"aaaaaaaa-aaaa-4{end:03}-8000-000000000000" for end in range(2)]
        with rows.transaction() as transaction:
            slots = [(run_id, task.id(), datetime(2026, 2, day, tzinfo=UTC)) for day, run_id in enumerate(ids, 1)]
            rows.runs.insert_slots(transaction, slots, "host", datetime(2026, 3, 1, tzinfo=UTC))
        text = seen(browser.get(f"/runs/{ids[0][:LINKED_CHARACTERS]}", 400))
        assert "2 runs have an id that begins with 'aaaaaaaa-aaaa'. Open one of " in text
        assert all(f"/runs/{run_id}" in text and browser.get(f"/runs/{run_id}") for run_id in ids)

    def test_of_packaging_is_shown_too(self, orchestration: Orchestration, browser: Any, seen: Seen) -> None:
        [run] = orchestration.task().last_runs()
        page = browser.get(f"/runs/{run.id()}")
        assert "Packaging of an upload" in seen(page)
        assert "Run again" not in page


class TestWhatHasChanged:
    def test_is_compared_with_the_last_good_run(
        self, store: orchlite.Client, orchestration: Orchestration, browser: Any, folder: MakeFolder, clock: ManualClock, seen: Seen
    ) -> None:
        task = orchestration.run_scheduled("nightly", "@daily", {"n": 1})
        clock.advance(days=1, minutes=5)
        task.replace(store.upload_orchestration(path=folder("print(22)")), json_args={"n": 2, "\u202eevil": "<b>"})
        clock.advance(days=1)
        newest, oldest = task.last_runs()
        page = seen(browser.get(f"/runs/{newest.id()}"))
        assert f"Since {oldest.id()[:8]} , the last good run, 1 d 3 min ago" in page
        assert re.search(r"Code ~ changed: main.py 8 B → 9 B", page)
        assert "~ changed: n 1 → 2" in page
        assert '+ added: \\u202eevil "<b>"' in page
        assert "What has changed" not in browser.get(f"/runs/{oldest.id()}")

    def test_leaves_out_metrics_until_the_end(self, orchestration: Orchestration, browser: Any, clock: ManualClock, seen: Seen) -> None:
        [good] = orchestration.run_once("sums").last_runs()
        clock.advance(minutes=5)
        store = orchestration._engine.store
        with store.transaction() as transaction:
            store.run_metrics.insert(transaction, good.id(), {"loss": 0.25})
        [run] = orchestration.run_once("sums").last_runs()
        assert "nothing that is known" in seen(browser.get(f"/runs/{run.id()}"))
        clock.advance(minutes=5)
        assert "Metrics − removed: loss 0.25" in seen(browser.get(f"/runs/{run.id()}"))


class TestTheLog:
    def test_is_text_whatever_a_program_writes(self, orchestration: Orchestration, browser: Any) -> None:
        [run] = orchestration.run_once("<script>alert(1)</script>").last_runs()
        _write(run, "<script>alert(2)</script> \x1b[31mred\x1b[0m \x1b]0;title\x07 \u202egpj.exe")
        page = browser.get(f"/runs/{run.id()}")
        assert "alert(2)</script>" not in page
        assert "alert(1)</script>" not in page
        assert '&lt;script&gt;alert(2)&lt;/script&gt; <span class="f1">red</span> \\x1b]0;title\\x07 \\u202egpj.exe' in page
        assert "\u202e" not in page

    def test_can_be_searched_without_a_script(self, orchestration: Orchestration, browser: Any) -> None:
        [run] = orchestration.run_once().last_runs()
        _write(run, "\n".join(["an ERROR", *map(str, range(900)), "error again"]))
        page = browser.get(f"/runs/{run.id()}/log?q=error")
        assert 'id="found"><mark>error</mark> again<' in page
        [place] = re.findall(r'name="from" value="([\d.]+)"', page)
        page = browser.get(f"/runs/{run.id()}/log?q=error&from={place}&find=earlier")
        assert 'id="found">an <mark>ERROR</mark><' in page
        [first] = re.findall(r'name="from" value="([\d.]+)"', page)
        assert "Nothing earlier has “error”." in browser.get(f"/runs/{run.id()}/log?q=error&from={first}&find=earlier")
        assert 'id="found"><mark>error</mark> again<' in browser.get(f"/runs/{run.id()}/log?q=error&from={first}&find=later")
        assert "does not have “nowhere”" in browser.get(f"/runs/{run.id()}/log?q=nowhere")

    def test_leads_to_earlier_lines_its_start_and_its_traceback(self, orchestration: Orchestration, browser: Any) -> None:
        [run] = orchestration.run_once().last_runs()
        _write(run, "\n".join(["first", "Traceback (most recent call last):", "KeyError: 'a'", *map(str, range(900))]))
        page = browser.get(f"/runs/{run.id()}")
        assert ">899</div>" in page
        assert ">first</div>" not in page
        [earlier] = re.findall(r'href="(/runs/\S+before=[\d.]+)"', page)
        assert ">499</div>" in browser.get(earlier)
        assert ">first</div>" in browser.get(f"/runs/{run.id()}/log?at=start")
        assert 'id="found">Traceback' in browser.get(f"/runs/{run.id()}/log?at=traceback")

    def test_is_followed_from_where_it_was_read(self, orchestration: Orchestration, browser: Any) -> None:
        [run] = orchestration.run_once().last_runs()
        _write(run, "one")
        page = browser.get(f"/runs/{run.id()}")
        [end] = re.findall(r'data-end="([\d.]+)"', page)
        assert "data-live-log" in page
        assert browser.http.get(f"/runs/{run.id()}/log/new?after={end}").status_code == 204
        _write(run, "two")
        new = browser.get(f"/runs/{run.id()}/log/new?after={end}")
        assert re.findall(r'data-at="00:00:00">(\w+)<', new) == ["two"]
        _write(run, "\n".join("x" * 100 for _ in range(6_000)))
        assert "data-replaces" in browser.get(f"/runs/{run.id()}/log/new?after={end}")

    def test_can_be_downloaded(self, orchestration: Orchestration, browser: Any) -> None:
        [run] = orchestration.run_once().last_runs()
        _write(run, "one\ntwo")
        response = browser.http.get(f"/runs/{run.id()}/log/text")
        assert (response.text, response.headers["content-disposition"]) == ("one\ntwo\n", f'attachment; filename="{run.id()[:8]}.log"')


class TestAFile:
    def test_is_listed_shown_and_downloaded(self, orchestration: Orchestration, browser: Any, clock: ManualClock, seen: Seen) -> None:
        [run] = orchestration.run_once().last_runs()
        clock.advance(minutes=5)
        name = "out/<b> 50% \u202eé.csv"
        _made(run, name, b"day,sum\n<i>Mon</i>,3\n")
        page = browser.get(f"/runs/{run.id()}")
        [address] = re.findall(r'href="(/runs/\S+/files/[^"]+)"', page)
        assert "out/<b> 50% \\u202eé.csv 21 B" in seen(page)
        shown = browser.get(address)
        assert "<td>&lt;i&gt;Mon&lt;/i&gt;</td>" in shown
        response = browser.http.get(f"{address}?as=download")
        assert response.content == b"day,sum\n<i>Mon</i>,3\n"
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-disposition"].startswith("attachment; filename=\"_b_ 50_ __.csv\"; filename*=UTF-8''%3Cb%3E")

    def test_is_executed_by_no_browser(self, orchestration: Orchestration, browser: Any) -> None:
        [run] = orchestration.run_once().last_runs()
        _made(run, "plot.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
        _made(run, "page.html", b"<script>alert(1)</script>")
        assert "alert" not in browser.get(f"/runs/{run.id()}/files/plot.svg")
        assert "&lt;script&gt;alert" in browser.get(f"/runs/{run.id()}/files/page.html")
        picture = browser.http.get(f"/runs/{run.id()}/files/plot.svg?as=picture")
        assert picture.headers["content-type"] == "image/svg+xml"
        assert picture.headers["content-security-policy"].startswith("sandbox; default-src 'none';")
        assert picture.headers["x-content-type-options"] == "nosniff"
        assert browser.http.get(f"/runs/{run.id()}/files/page.html?as=picture").status_code == 404

    @pytest.mark.parametrize(
        "name", ["..%2flog", "%2e%2e/log", "link", "folder/../log", "folder", "pipe", "none", "a%00b", "linked/secret", ""]
    )
    def test_outside_the_working_folder_is_not_shown(self, orchestration: Orchestration, browser: Any, tmp_path: Path, name: str) -> None:
        [run] = orchestration.run_once().last_runs()
        _write(run, "secret")
        work = _made(run, "folder/file", b"1").parents[1]
        (tmp_path / "secret").write_text("secret")
        (work / "link").symlink_to(tmp_path / "secret")
        (work / "linked").symlink_to(tmp_path)
        os.mkfifo(work / "pipe")
        for query in ("", "?as=download", "?as=picture"):
            response = browser.http.get(f"/runs/{run.id()}/files/{name}{query}")
            assert response.status_code == 404
            assert "secret" not in response.text.replace("linked/secret", "")

    def test_may_have_a_name_that_is_not_utf_8(self, orchestration: Orchestration, browser: Any, clock: ManualClock) -> None:
        [run] = orchestration.run_once().last_runs()
        clock.advance(minutes=5)
        _made(run, b"a\xff".decode(errors="surrogateescape"), b"text")
        page = browser.get(f"/runs/{run.id()}")
        [address] = re.findall(r'href="(/runs/\S+/files/[^"]+)"', page)
        assert "<pre" in browser.get(address)


class TestAButton:
    def test_kills_a_run(self, orchestration: Orchestration, browser: Any) -> None:
        [run] = orchestration.run_once().last_runs()
        assert "End this run?" in browser.get(f"/runs/{run.id()}")
        response = browser.post(f"/runs/{run.id()}/kill")
        assert response.headers["location"] == f"/runs/{run.id()}"
        assert run.status() == "killed"
        assert "End this run?" not in browser.get(f"/runs/{run.id()}")

    def test_runs_it_again_with_the_same_or_other_arguments(self, orchestration: Orchestration, browser: Any) -> None:
        [run] = orchestration.run_once("sums", {"n": 1, "text": "a\u202eb<c>é"}).last_runs()
        page = browser.get(f"/runs/{run.id()}")
        [offered] = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
        assert '"text": "a\\u202eb<c>é"' in unescape(offered)
        again = browser.post(f"/runs/{run.id()}/rerun", arguments=unescape(offered).replace("\n", "\r\n")).headers["location"]
        other = browser.post(f"/runs/{run.id()}/rerun", arguments='{"n": true}').headers["location"]
        client = orchestration._engine
        found = [TaskRun(client, (row := client.store.runs.get(path.rpartition("/")[2])).run_id, row.task_id) for path in (again, other)]
        assert [one.input_data() for one in found] == [run.input_data(), {"n": True}]
        assert [one.rerun_of() for one in found] == [run.id()] * 2
        assert f'Repeats <a class="id" href="/runs/{run.id()}"' in browser.get(again)

    @pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": NaN}', "[" * 100_000, "1"])
    def test_shows_arguments_that_are_refused_again(self, orchestration: Orchestration, browser: Any, text: str) -> None:
        [run] = orchestration.run_once().last_runs()
        page = browser.post(f"/runs/{run.id()}/rerun", 400, arguments=text).text
        assert 'role="alert"' in page
        assert f">\n{text}</textarea>" in unescape(page)
        assert len(orchestration.list_tasks()) == 1

    def test_is_not_there_and_does_nothing_on_a_read_only_server(
        self, store: orchlite.Client, orchestration: Orchestration, browser_of: Any
    ) -> None:
        [run] = orchestration.run_once().last_runs()
        reader = browser_of(store, read_only=True).log_in()
        page = reader.get(f"/runs/{run.id()}")
        assert "/rerun" not in page
        assert "/kill" not in page
        assert reader.post(f"/runs/{run.id()}/kill", 403)
        assert run.status() == "running"


def test_a_log_that_cannot_be_read_leaves_the_rest(orchestration: Orchestration, browser: Any) -> None:
    [run] = orchestration.run_once().last_runs()
    path = RunLog(run)._path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir()
    page = browser.get(f"/runs/{run.id()}")
    assert "cannot be read" in page
    assert run.id() in page


def test_a_page_of_a_run_stays_small(orchestration: Orchestration, browser: Any, clock: ManualClock) -> None:
    """However much a program writes, and whatever has to be escaped."""
    hostile = {f"{'&' * 150}{number}": "<" * 900 for number in range(300)}
    good, run = (orchestration.run_once("sums", given).last_runs()[0] for given in (None, {**hostile}))
    clock.advance(minutes=5)
    for number in range(300):
        _made(run, f"{'&' * 40}{number}", b"")
    for text in ("&\u202e\x1b[31m\x07" * 60_000, "\n".join(["'\"&<>"] * 20_000), "\n".join(["\u202e" * 9] * 9_000)):
        _write(run, text)
        assert len(browser.get(f"/runs/{run.id()}").encode()) < 250_000
    assert good.id()[:8] in browser.get(f"/runs/{run.id()}")
