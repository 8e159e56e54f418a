"""What a job prints is copied once, however it arrives, and is not read again while nothing new is printed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from orchlite.ray.jobs_api import JobsApi
from orchlite.ray.log_copy import LogCopy
from orchlite.ray.output_reader import OutputReader
from orchlite.runs import job_output
from orchlite.runs.cluster import ClusterUnreachable
from orchlite.runs.logs import GAP_TEXT, read
from tests.ray.fake_head import NODE, FakeHead
from tests.ray.output import BEGINS, RESULT, printed, record, result_line


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def reader(head: FakeHead, url: str, log: Path) -> OutputReader:
    head.add_job("x")
    return _reader(url, log)


def _reader(url: str, log: Path) -> OutputReader:
    return OutputReader(JobsApi(url, None), "x", LogCopy(log, 10_000_000))


def test_lines_are_copied_as_they_come(head: FakeHead, reader: OutputReader, log: Path) -> None:
    reader.read(NODE)
    head.logs["x"] += BEGINS
    reader.read(NODE)
    head.logs["x"] += printed("a", "b")
    reader.read(NODE)
    assert str(read(log)) == "a\nb\n"
    head.logs["x"] += printed("c", first=3)
    reader.read(NODE)
    assert str(read(log)) == "a\nb\nc\n"
    assert reader.result is None


def test_many_new_lines_are_found_however_many_there_are(head: FakeHead, reader: OutputReader, log: Path) -> None:
    texts = [f"line {number}" for number in range(3000)]
    head.logs["x"] = BEGINS + printed(*texts[:5])
    reader.read(NODE)
    head.logs["x"] = BEGINS + printed(*texts) + result_line(3001)
    reader.read(NODE)
    assert [line.text for line in read(log)] == texts
    assert reader.result == RESULT


def test_of_a_log_beyond_the_limit_beginning_and_end_are_read(head: FakeHead, url: str, log: Path) -> None:
    head.add_job("x")
    texts = [f"line {number}" for number in range(5000)]
    head.logs["x"] = BEGINS + printed(*texts) + result_line(5001)
    reader = OutputReader(JobsApi(url, None), "x", LogCopy(log, 10_000))
    reader.read(NODE)
    lines = [line.text for line in read(log)]
    gap = lines.index(GAP_TEXT)
    assert lines[:gap] == texts[:gap]
    assert lines[gap + 1 :] == texts[-(len(lines) - gap - 1) :]
    assert min(gap, len(lines) - gap) > 40
    assert reader.result == RESULT


def test_a_result_is_found_without_the_log_before_it(head: FakeHead, reader: OutputReader, log: Path) -> None:
    head.logs["x"] = BEGINS + printed("a") + result_line(2) + b"noise\n"
    reader.find_result(NODE)
    assert (reader.result, reader.is_complete, read(log)) == (RESULT, False, [])


def test_a_log_that_does_not_grow_is_asked_for_one_line(head: FakeHead, reader: OutputReader) -> None:
    head.logs["x"] = BEGINS + printed(*"abcdefgh")
    reader.read(NODE)
    reader.read(NODE)
    head.requests.clear()
    reader.read(NODE)
    reader.read(NODE)
    assert [request.partition("lines=")[2].partition("&")[0] for request in head.requests] == ["1", "1"]


def test_lines_of_others_are_passed_over(head: FakeHead, reader: OutputReader, log: Path) -> None:
    head.logs["x"] = BEGINS + printed("a") + b"noise\n" * 50 + printed("b", first=2) + b"noise \xff\n" * 50 + b"orchlite:log what\n"
    reader.read(NODE)
    assert str(read(log)) == "a\nb\n"


def test_the_words_of_others_are_kept_for_the_reason(head: FakeHead, reader: OutputReader) -> None:
    head.logs["x"] = BEGINS + printed("a") + b"sh: 1: python: not found\n"
    assert reader.last_words(NODE).endswith("exec python -m orchlite.node\nsh: 1: python: not found")


def test_a_torn_line_is_left_for_the_next_time(head: FakeHead, reader: OutputReader, log: Path) -> None:
    lines = printed("a", "b")
    head.logs["x"] = lines[:-5]
    reader.read(NODE)
    assert str(read(log)) == "a\n"
    head.logs["x"] = lines
    reader.read(NODE)
    assert str(read(log)) == "a\nb\n"


def test_any_character_arrives(head: FakeHead, reader: OutputReader, log: Path) -> None:
    texts = ["10%\r20%\r", "\x1b[31mred\x1b[0m", "größer 🦀", '"quoted" \\n', "\x85\u2028"]
    head.logs["x"] = BEGINS + printed(*texts)
    reader.read(NODE)
    assert [line.text for line in read(log)] == texts


def test_another_host_continues_where_the_first_stopped(head: FakeHead, url: str, reader: OutputReader, log: Path) -> None:
    head.logs["x"] = printed("a", "b")
    reader.read(NODE)
    head.logs["x"] += printed("c", "d", first=3)
    _reader(url, log).read(NODE)
    assert str(read(log)) == "a\nb\nc\nd\n"


def test_a_gap_of_the_node_is_a_gap_here(head: FakeHead, reader: OutputReader, log: Path) -> None:
    gap = job_output.of_record(2, b"2026-11-26T16:00:01.000000001Z stderr G " + GAP_TEXT.encode())
    head.logs["x"] = printed("a") + gap + printed("z", first=3)
    reader.read(NODE)
    assert [line.text for line in read(log)] == ["a", GAP_TEXT, "z"]


def test_lines_that_are_gone_leave_a_gap(head: FakeHead, reader: OutputReader, log: Path) -> None:
    head.logs["x"] = printed("a")
    reader.read(NODE)
    head.logs["x"] = printed("y", "z", first=300_000)
    reader.read(NODE)
    assert [line.text for line in read(log)] == ["a", GAP_TEXT, "y", "z"]


def test_parts_of_lines_are_joined(head: FakeHead, reader: OutputReader, log: Path) -> None:
    head.logs["x"] = job_output.of_record(1, record("beg", "P")) + job_output.of_record(2, record("in"))
    reader.read(NODE)
    assert str(read(log)) == "begin\n"


def test_a_log_that_cannot_be_read_now_is_read_later(head: FakeHead, reader: OutputReader, log: Path) -> None:
    head.logs["x"] = printed("a")
    head.has_logs = False
    with pytest.raises(ClusterUnreachable):
        reader.read(NODE)
    head.has_logs = True
    reader.read(NODE)
    assert str(read(log)) == "a\n"


def test_of_a_log_that_arrives_in_parts_nothing_is_missing(head: FakeHead, reader: OutputReader, log: Path) -> None:
    texts = [f"line {number}" for number in range(30_000)]
    head.logs["x"] = BEGINS + printed(*texts) + result_line(30_001)
    head.log_breaks_after = 1_000_000
    tries = 0
    while reader.result is None:
        tries += 1
        with suppress(ClusterUnreachable):
            reader.read(NODE)
    assert tries > 1
    assert [line.text for line in read(log)] == texts


def test_a_result_is_found_while_nothing_can_be_written_here(head: FakeHead, reader: OutputReader, log: Path) -> None:
    log.with_name("log.copied.new").mkdir()
    head.logs["x"] = printed("a")
    reader.read(NODE)
    assert not reader.is_complete
    head.logs["x"] += result_line(2)
    reader.read(NODE)
    assert (reader.result, reader.is_complete) == (RESULT, False)
