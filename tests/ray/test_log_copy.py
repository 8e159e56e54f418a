"""A copied log is bounded as a runner's is, and no record is in it twice, whenever its host died."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchlite.ray.log_copy import LogCopy
from orchlite.runs.logs import GAP_TEXT, read, segments
from tests.ray.output import record


def _records(*texts: str) -> list[bytes]:
    return [record(text) + b"\n" for text in texts]


def test_a_new_copy_begins_at_the_first_line(tmp_path: Path) -> None:
    copy = LogCopy(tmp_path / "1" / "log", 10_000)
    assert (copy.is_new, copy.number) == (True, 0)
    copy.append(_records("a", "b"), 2)
    assert str(read(tmp_path / "1" / "log")) == "a\nb\n"


def test_the_next_host_continues(tmp_path: Path) -> None:
    LogCopy(tmp_path / "log", 10_000).append(_records("a"), 1)
    copy = LogCopy(tmp_path / "log", 10_000)
    assert (copy.is_new, copy.number) == (False, 1)
    copy.append(_records("b"), 2)
    assert str(read(tmp_path / "log")) == "a\nb\n"


def test_what_a_dead_host_has_written_and_not_noted_is_copied_again_and_stands_there_once(tmp_path: Path) -> None:
    LogCopy(tmp_path / "log", 10_000).append(_records("a"), 1)
    with (tmp_path / "log").open("ab") as log:
        log.write(b"".join(_records("b"))[:-3])
    copy = LogCopy(tmp_path / "log", 10_000)
    copy.append(_records("b", "c"), 3)
    assert str(read(tmp_path / "log")) == "a\nb\nc\n"


def test_it_stays_there_until_more_arrives(tmp_path: Path) -> None:
    LogCopy(tmp_path / "log", 10_000).append(_records("a"), 1)
    with (tmp_path / "log").open("ab") as log:
        log.writelines(_records("b"))
    LogCopy(tmp_path / "log", 10_000)
    assert str(read(tmp_path / "log")) == "a\nb\n"


def test_segments_that_a_dead_host_has_begun_and_not_noted_are_removed(tmp_path: Path) -> None:
    copy = LogCopy(tmp_path / "log", 400)
    copy.append(_records("a" * 100), 1)
    state = (tmp_path / "log.copied").read_bytes()
    copy.append(_records("b" * 100, "c" * 100), 3)
    assert segments(tmp_path / "log") == [0, 1, 2]
    (tmp_path / "log.copied").write_bytes(state)
    LogCopy(tmp_path / "log", 400).append(_records("b" * 100), 2)
    assert segments(tmp_path / "log") == [0, 1]
    assert [line.text[0] for line in read(tmp_path / "log")] == ["a", "b"]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_the_beginning_and_the_end_of_a_long_log_are_kept_with_a_marker_between(tmp_path: Path, batch: int) -> None:
    copy = LogCopy(tmp_path / "log", 10_000)
    texts = [f"line {number}" for number in range(1000)]
    for start in range(0, 1000, batch):
        copy.append(_records(*texts[start : start + batch]), min(start + batch, 1000))
    assert sum(path.stat().st_size for path in tmp_path.glob("log*") if path.name != "log.copied") <= 10_000
    lines = [line.text for line in read(tmp_path / "log")]
    gap = lines.index(GAP_TEXT)
    assert lines[:gap] == texts[:gap]
    assert lines[gap + 1 :] == texts[-(len(lines) - gap - 1) :]
    assert min(gap, len(lines) - gap) > 40


def test_a_gap_is_marked(tmp_path: Path) -> None:
    copy = LogCopy(tmp_path / "log", 10_000)
    copy.append(_records("a"), 1)
    copy.skip()
    copy.append(_records("z"), 9)
    assert [line.text for line in read(tmp_path / "log")] == ["a", GAP_TEXT, "z"]


def test_after_an_error_of_the_disk_the_same_records_can_be_appended_again(tmp_path: Path) -> None:
    copy = LogCopy(tmp_path / "log", 10_000)
    copy.append(_records("a"), 1)
    (tmp_path / "log.copied.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        copy.append(_records("b"), 2)
    (tmp_path / "log.copied.new").rmdir()
    assert copy.number == 1
    copy.append(_records("b", "c"), 3)
    assert str(read(tmp_path / "log")) == "a\nb\nc\n"
