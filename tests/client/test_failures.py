"""Why a run failed, as one line: the exception below the last traceback, else the last words."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orchlite.client.client import Client, engine_of
from orchlite.client.failure_groups import FailureGroup, failure_groups
from orchlite.client.failures import error_line, why_failed
from orchlite.client.task_run import log_path_of
from orchlite.runs.runner.log_writer import LogWriter
from orchlite.testing import ManualClock, StubProcess

_NOW = datetime(2026, 3, 1, tzinfo=UTC)
_TRACEBACK = "Traceback (most recent call last):"


def _written(program: str) -> list[str]:
    """Return what Python writes when a program ends with an exception."""
    try:
        exec(compile(program, "main.py", "exec"), {})
    except BaseException:
        return traceback.format_exc().splitlines()
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("{}['id']", "KeyError: 'id'"),
        ("raise ValueError('two\\nlines\\n  and more')", "ValueError: two"),
        ("raise ValueError", "ValueError"),
        ("try:\n  1/0\nfinally:\n  raise OSError('second')", "OSError: second"),
        ("raise ExceptionGroup('both', [ValueError('a'), TypeError('b')])", "ExceptionGroup: both (2 sub-exceptions)"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_the_exception_below_the_last_traceback(program: str, line: str) -> None:
    assert error_line(["before", *_written(program), "", "cleaning up", "done"]) == line


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["one", "two", "", "  "], "two"),
        ([], ""),
        (["", "-----"], ""),
        (["Traceback (most recent call last):", '  File "main.py", line 1'], 'File "main.py", line 1'),
    ],
)
def test_the_last_words_without_a_complete_traceback(lines: list[str], line: str) -> None:
    assert error_line(lines) == line


class TestGroups:
    @pytest.fixture
    def failing(self) -> Iterator[Client]:
        with Client.temporary(clock=ManualClock(_NOW), process=StubProcess("failure")) as client:
            yield client

    def _fail(self, client: Client, bundle: bytes, name: str, words: str) -> str:
        """Let a run fail that has written these words, and return its id."""
        run = client.upload_orchestration(bundle, name=name).wait().run_once(name).wait()
        if words:
            log = log_path_of(run)
            log.parent.mkdir(parents=True)
            writer = LogWriter(str(log), 10_000)
            writer.feed("stderr", words.encode())
            writer.finish(durable=False)
        return run.id()

    def _groups(self, client: Client, since: datetime = _NOW) -> list[FailureGroup]:
        return failure_groups(engine_of(client), client.get_current_workspace().id(), since)

    def test_have_the_same_error_with_any_numbers_and_quoted_words(self, failing: Client, smallest_bundle: bytes) -> None:
        trace = f"{_TRACEBACK}\n  File x\nValueError: no row {{}} of 'table {{}}'\n"
        first = self._fail(failing, smallest_bundle, "a", trace.format(1, 2))
        other = self._fail(failing, smallest_bundle, "b", f"{_TRACEBACK}\n  File x\nOSError: gone\n")
        second = self._fail(failing, smallest_bundle, "b", trace.format(30, 4))
        newest, older = self._groups(failing)
        assert (newest.error, newest.has_variants, newest.titles) == ("ValueError: no row 30 of 'table 4'", True, ["b", "a"])
        assert [run.run_id for run in newest.runs] == [second, first]
        assert (older.error, older.has_variants, [run.run_id for run in older.runs]) == ("OSError: gone", False, [other])

    def test_have_the_exit_code_of_runs_without_words(self, failing: Client, smallest_bundle: bytes) -> None:
        run_id = self._fail(failing, smallest_bundle, "a", "")
        assert [group.error for group in self._groups(failing)] == ["exit code 1"]
        assert why_failed(failing.get_task_run_by_id(run_id)) == "exit code 1"

    def test_read_a_log_again_that_could_not_be_read(self, failing: Client, smallest_bundle: bytes) -> None:
        log = log_path_of(failing.get_task_run_by_id(self._fail(failing, smallest_bundle, "a", "no such table\n")))
        kept = log.rename(log.with_name("kept"))
        log.mkdir()
        assert [group.error for group in self._groups(failing)] == ["exit code 1, and its log cannot be read"]
        log.rmdir()
        kept.rename(log)
        assert [group.error for group in self._groups(failing)] == ["no such table"]

    def test_are_of_a_workspace_and_a_period(self, failing: Client, smallest_bundle: bytes) -> None:
        self._fail(failing, smallest_bundle, "a", "")
        assert self._groups(failing, _NOW + timedelta(seconds=1)) == []
        failing.set_current_workspace(failing.create_workspace("other"))
        assert self._groups(failing) == []
