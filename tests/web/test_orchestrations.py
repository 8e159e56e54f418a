"""The pages of orchestrations: what an upload would find, the upload, and what is shown of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import orchlite
from orchlite.client.client import engine_of
from orchlite.core.settings import MEBIBYTE, Limits
from orchlite.testing import StubProcess
from tests.rows import orchestration_row

Browsers = Callable[..., Any]
Seen = Callable[[str], str]
Files = dict[str, bytes]
_JOB = {"job/main.py": b"import left_pad\n", "job/requirements.txt": b"", "job/.git": b"", "job/data/a.csv": b"1,2\n"}


def _send(browser: Any, files: Files, status: int = 303, /, **fields: str) -> Any:
    """Send files as a form does, and return the response."""
    data = {"form_token": browser.form_token(), "complete": "1"} | fields
    response = browser.http.post("/orchestrations", data=data, files=[("file", file) for file in files.items()])
    assert response.status_code == status, response.text
    return response


def _checked(browser: Any, files: Files) -> str:
    """Send files, and return the path of the page that says what was found."""
    return str(_send(browser, files).headers["location"])


class TestAFolder:
    def test_is_checked_and_nothing_is_stored(self, browser: Any, store: orchlite.Client, seen: Seen) -> None:
        text = seen(browser.get(_checked(browser, _JOB)))
        assert "It would be accepted, with 2 warnings." in text
        assert "left out of the bundle: .git" in text
        assert "nothing brings left_pad" in text
        assert store.list_orchestrations() == []

    def test_is_uploaded_as_it_was_checked(self, browser: Any, store: orchlite.Client, seen: Seen) -> None:
        path = _checked(browser, _JOB)
        done = browser.post(path, name="night job")
        [one] = store.list_orchestrations()
        assert (one.name(), one.file_name(), done.headers["location"]) == ("night job", "job.zip", f"/orchestrations/{one.id()}")
        assert [warning for warning in one.warnings() if "left out" in warning]
        text = seen(browser.get(done.headers["location"]))
        assert "night job" in text
        assert "3 files" in text
        assert "import left_pad" in text
        browser.get(path, 404)
        assert list(engine_of(store).context.bundles.folder.glob("*.upload")) == []

    @pytest.mark.parametrize(
        "name", ["job/../../main.py", "/job/main.py", "job//main.py", "job/" + "d/" * 1000 + "x", "job/" + f"{'d' * 250}/" * 9 + "x"]
    )
    def test_has_no_path_that_leads_out_of_it_or_cannot_be_written(self, browser: Any, name: str) -> None:
        assert "is not a path inside a folder" in _send(browser, {"job/main.py": b"", name: b""}, 400).text

    def test_is_one_folder(self, browser: Any) -> None:
        for other in ("other/main.py", "b.zip"):
            assert "Several things were sent." in _send(browser, {"job/main.py": b"", other: b""}, 400).text


class TestAZip:
    def test_is_refused_in_the_words_of_an_upload(self, browser: Any, store: orchlite.Client, seen: Seen) -> None:
        for content in (b"no ZIP", b"PK"):
            with pytest.raises(orchlite.BadBundle) as caught:
                store.upload_orchestration(content)
            path = _checked(browser, {"job.zip": content})
            text = seen(browser.get(path))
            assert "It would be refused." in text
            assert caught.value.message in text
            assert caught.value.message in seen(browser.post(path, 400, name="all the same").text)

    def test_is_known_by_its_bytes(self, browser: Any, store: orchlite.Client, smallest_bundle: bytes, seen: Seen) -> None:
        one = store.upload_orchestration(smallest_bundle, name="first")
        path = _checked(browser, {"job.zip": smallest_bundle})
        assert "the same bytes already" in seen(browser.get(path))
        assert browser.post(path).headers["location"] == f"/orchestrations/{one.id()}"

    def test_has_the_limit_of_an_upload(self, clock: Any, browser_of: Browsers, seen: Seen) -> None:
        with orchlite.Client.temporary(clock=clock, process=StubProcess(), limits=Limits(upload_bytes=1000)) as client:
            browser = browser_of(client).log_in()
            text = seen(browser.get(_checked(browser, {"job.zip": bytes(2000)})))
            assert re.search(r"It would be refused\. The bundle has .* the limit is 1000 B\.", text)
            assert _send(browser, {"job.zip": bytes(2 * MEBIBYTE)}, 413).json()["kind"] == "TooLarge"

    def test_is_discarded(self, browser: Any, store: orchlite.Client, smallest_bundle: bytes) -> None:
        path = _checked(browser, {"job.zip": smallest_bundle})
        browser.post(f"{path}/discard")
        browser.get(path, 404)
        assert list(engine_of(store).context.bundles.folder.iterdir()) == []


class TestAForm:
    def test_that_was_cut_off_or_has_no_file_is_refused(self, browser: Any) -> None:
        assert "The upload was cut off." in _send(browser, {"job.zip": b""}, 400, complete="").text
        assert "There is no file." in _send(browser, {"": b""}, 400).text

    def test_of_another_session_and_of_a_read_only_server_is_refused(
        self, browser: Any, store: orchlite.Client, browser_of: Browsers
    ) -> None:
        assert "another session" in _send(browser, {"job.zip": b""}, 403, form_token="0" * 64).text
        reader = browser_of(store, read_only=True).log_in()
        assert "read-only" in _send(reader, {"job.zip": b""}, 403).text
        assert 'type="file"' not in reader.get("/orchestrations")


def test_names_stand_for_all_their_versions(browser: Any, store: orchlite.Client, smallest_bundle: bytes, seen: Seen) -> None:
    for name in ("scoring", "report", "scoring"):
        newest = store.upload_orchestration(smallest_bundle, name=name).wait()
    task = newest.run_scheduled("nightly", "@daily")
    page = browser.get("/orchestrations")
    assert re.findall(r'<a href="/orchestrations/[\w-]+">(\w+)</a>', page) == ["scoring", "report"]
    assert "report" not in seen(browser.get("/orchestrations?q=SCOR"))
    one = browser.get(f"/orchestrations/{newest.id()}")
    assert f'<a href="/tasks/{task.id()}">nightly</a>' in one
    assert one.count("<tr") == len(["head", "this version", "the other", "head of files", "main.py"])
    store.set_current_workspace(store.create_workspace("other"))
    assert "no orchestration yet" in browser.get("/orchestrations?workspace=other")


def test_fifty_names_are_shown_on_a_page(browser: Any, store: orchlite.Client, seen: Seen) -> None:
    rows = engine_of(store).store
    with rows.transaction() as transaction:
        for number in range(101):
            rows.orchestrations.insert(transaction, orchestration_row(engine_of(store).context.clock.now(), name=f"name-{number:03}"))
    first = browser.get("/orchestrations?q=name&page=1")
    assert ("name-100" in first, "name-051" in first, "name-050" in first) == (True, True, False)
    assert "Page 1 of 3" in seen(first)
    assert 'href="/orchestrations?q=name&amp;page=2"' in first
    assert "name-000" in browser.get("/orchestrations?q=name&page=3")


def test_an_orchestration_is_run_and_scheduled(browser: Any, store: orchlite.Client, smallest_bundle: bytes, seen: Seen) -> None:
    path = f"/orchestrations/{store.upload_orchestration(smallest_bundle).wait().id()}"
    browser.post(f"{path}/run", name="by hand", arguments='{"name": "Ada"}')
    assert [(task.name(), task.input_data()) for task in store.list_tasks()] == [("by hand", {"name": "Ada"})]
    done = browser.post(f"{path}/schedule", name="nightly", schedule="30 2 * * *", timezone="Europe/Berlin")
    task = store.get_task("nightly")
    assert (task.schedule(), task.timezone(), done.headers["location"]) == ("30 2 * * *", "Europe/Berlin", f"/tasks/{task.id()}")
    for wrong, why in (
        ({"arguments": "[1]"}, "The arguments are not a JSON object"),
        ({"arguments": "{"}, "The arguments are not JSON"),
        ({"name": ""}, "name"),
        ({"schedule": "daily"}, "daily"),
    ):
        assert why in seen(browser.post(f"{path}/schedule", 400, **{"name": "x", "schedule": "@daily", **wrong}).text)


def test_the_zip_is_downloaded_and_never_shown(browser: Any, store: orchlite.Client, smallest_bundle: bytes) -> None:
    one = store.upload_orchestration(smallest_bundle, file_name='<b>"x".zip')
    response = browser.http.get(f"/orchestrations/{one.id()}/bundle")
    assert response.content == smallest_bundle
    assert response.headers["content-disposition"].startswith("attachment;")
    assert response.headers["content-type"] == "application/octet-stream"
    assert "<b>" not in browser.get(f"/orchestrations/{one.id()}")


@pytest.mark.slow
def test_hostile_contents_are_shown_as_text_and_in_part(browser: Any, store: orchlite.Client, seen: Seen) -> None:
    program = "# </pre><script>alert(1)</script>\u202e\n" + f"'{'<' * 100_000}'"
    files = {"a/main.py": program.encode(), **{f"a/<b>{n:04}{'x' * 180}": b"" for n in range(400)}}
    path = browser.post(_checked(browser, files)).headers["location"]
    page = browser.get(path)
    assert len(page.encode()) < 250_000
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "\\u202e" in page
    assert "and 101 more" in seen(page)
    assert "The rest is in the ZIP." in page
    assert store.list_orchestrations()[0].id() in path
