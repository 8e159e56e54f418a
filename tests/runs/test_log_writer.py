"""What the runner writes of a program's output: the container runtime's records, whole, bounded, and never at the program's expense."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.runs.runner.log_writer import LogWriter

_LARGE_BYTES = 1024 * 1024
_PART_BYTES = 16 * 1024
_RECORD = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) (.*)")
Written = list[tuple[str, str, str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def written(path: Path) -> Callable[..., Written]:
    """Feed pieces of output to a writer, finish it, and return the records: stream, tag, text."""

    def write(*pieces: bytes | tuple[str, bytes], limit_bytes: int = _LARGE_BYTES) -> Written:
        writer = LogWriter(str(path), limit_bytes)
        for piece in pieces:
            stream, data = piece if isinstance(piece, tuple) else ("stdout", piece)
            writer.feed(stream, data)
        writer.finish(durable=True)
        assert writer.complete
        return _records(path.read_bytes())

    return write


def _records(content: bytes) -> Written:
    assert content.endswith(b"\n") or not content
    found = [_RECORD.fullmatch(line) for line in content.decode().split("\n")[:-1]]
    return [(match[2], match[3], match[4]) for match in found if match is not None]


def _segments(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_a_record_has_the_form_of_the_platform(path: Path) -> None:
    before = time.time_ns()
    writer = LogWriter(str(path), _LARGE_BYTES)
    writer.feed("stdout", b"some text\n")
    match = _RECORD.fullmatch(path.read_text().rstrip("\n"))
    assert match is not None
    assert match.groups()[1:] == ("stdout", "F", "some text")
    writer.finish(durable=False)
    assert before <= _nanoseconds(match[1]) <= time.time_ns()


def _nanoseconds(stamp: str) -> int:
    second, fraction = stamp.removesuffix("Z").split(".")
    return calendar.timegm(time.strptime(second, "%Y-%m-%dT%H:%M:%S")) * 1_000_000_000 + int(fraction)


def test_lines_are_there_as_soon_as_they_are_whole(path: Path) -> None:
    writer = LogWriter(str(path), _LARGE_BYTES)
    writer.feed("stdout", b"whole\nunfin")
    assert [text for *_, text in _records(path.read_bytes())] == ["whole"]
    writer.feed("stdout", b"ished\n")
    assert [text for *_, text in _records(path.read_bytes())] == ["whole", "unfinished"]
    writer.finish(durable=False)


def test_what_stays_pending_is_written_in_whole_characters_unless_credentials_are_masked(path: Path) -> None:
    bar = "\r 10%|█".encode()
    writer, masking = LogWriter(str(path), _LARGE_BYTES), LogWriter(f"{path}.masked", _LARGE_BYTES, masked=True)
    for one in (writer, masking):
        one.feed("stderr", bar[:-1])
        one.write_pending()
    assert not path.read_bytes()  # the rest of the line may be about to arrive
    writer.write_pending()
    masking.write_pending()
    assert _records(path.read_bytes()) == [("stderr", "P", "\r 10%|")]
    writer.write_pending()
    writer.feed("stderr", bar[-1:] + b"\n")
    assert _records(path.read_bytes()) == [("stderr", "P", "\r 10%|"), ("stderr", "F", "█")]
    assert not Path(f"{path}.masked").read_bytes()
    for one in (writer, masking):
        one.finish(durable=False)


@pytest.mark.parametrize(
    ("output", "records"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\n", [("F", "")], id="an empty line"),
        pytest.param(b"a\n\nb\n", [("F", "a"), ("F", ""), ("F", "b")], id="an empty line between"),
        pytest.param(b"a", [("P", "a")], id="no newline at the end"),
        pytest.param(b"a\r\nb\rc\n", [("F", "a\r"), ("F", "b\rc")], id="carriage returns"),
        pytest.param(b" a \tb \n", [("F", " a \tb ")], id="blanks"),
        pytest.param("März \u2028 📈\n".encode(), [("F", "März \u2028 📈")], id="any character"),
        pytest.param(b"a\xff\xfeb\n", [("F", "a\ufffd\ufffdb")], id="bytes that are no text"),
        pytest.param(b"a\0b\n", [("F", "a\0b")], id="NUL"),
    ],
)
def test_output_becomes_records(written: Callable[..., Written], output: bytes, records: list[tuple[str, str]]) -> None:
    assert written(output) == [("stdout", tag, text) for tag, text in records]


def test_a_character_may_arrive_in_two_pieces(written: Callable[..., Written]) -> None:
    assert written("a📈".encode()[:3], "a📈".encode()[3:] + b"\n") == [("stdout", "F", "a📈")]


def test_the_streams_do_not_disturb_each_other(written: Callable[..., Written]) -> None:
    pieces = (("stdout", b"out, "), ("stderr", b"err\n"), ("stdout", b"still out\n"), ("stderr", b"unfinished"))
    assert written(*pieces) == [("stderr", "F", "err"), ("stdout", "F", "out, still out"), ("stderr", "P", "unfinished")]


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in small pieces"])
def test_a_long_line_is_written_in_parts(written: Callable[..., Written], at_once: bool) -> None:
    line = b"x" * (2 * _PART_BYTES + 5) + b"\n"
    pieces = [line] if at_once else [line[start : start + 1000] for start in range(0, len(line), 1000)]
    records = written(*pieces)
    assert [(tag, len(text)) for _, tag, text in records] == [("P", _PART_BYTES), ("P", _PART_BYTES), ("F", 5)]


def test_long_lines_among_short_ones_are_written_in_parts(written: Callable[..., Written]) -> None:
    lines = [b"", b"a" * _PART_BYTES, b"", b"b" * (_PART_BYTES + 1), b"c", b"d" * (3 * _PART_BYTES), b"", b"e"]
    expected = []
    for line in lines:
        parts = [line[start : start + _PART_BYTES].decode() for start in range(0, len(line), _PART_BYTES)] or [""]
        expected += [*(("stdout", "P", part) for part in parts[:-1]), ("stdout", "F", parts[-1])]
    assert written(b"\n".join(lines) + b"\n") == expected


def test_lines_that_arrive_together_have_one_time(path: Path) -> None:
    # The clock is read once for what is read at once: a flood of short lines costs no more than one of long lines.
    writer = LogWriter(str(path), 100 * _LARGE_BYTES)
    long = b"x" * 2 * _PART_BYTES
    writer.feed("stdout", b"\n" * 100_000 + long + b"\nshort\n" + long)
    stamps = [record.split(b" ")[0] for record in path.read_bytes().splitlines()]
    assert (len(stamps), len(set(stamps))) == (100_004, 1)
    writer.finish(durable=False)


def test_a_part_ends_between_two_characters(written: Callable[..., Written]) -> None:
    records = written(("x" + "📈" * 5000 + "\n").encode())
    assert "".join(text for *_, text in records) == "x" + "📈" * 5000
    assert all(len(text.encode()) <= _PART_BYTES for *_, text in records)


def test_only_this_account_can_read_it(written: Callable[..., Written], path: Path) -> None:
    written(b"a\n")
    assert path.stat().st_mode & 0o777 == 0o600


class TestAFlood:
    def test_keeps_its_beginning_and_its_end(self, path: Path) -> None:
        writer = LogWriter(str(path), 8000)
        for number in range(1000):
            writer.feed("stdout", b"line %d\n" % number)
        writer.finish(durable=False)
        head, *tails = [_records(path.with_name(name).read_bytes()) for name in _segments(path)]
        assert [int(text.split()[1]) for *_, text in head] == list(range(len(head)))
        tail = [
            int(text.split()[1]) for records in sorted(tails, key=lambda records: int(records[0][2].split()[1])) for *_, text in records
        ]
        assert tail == list(range(1000 - len(tail), 1000))
        assert len(head) > 50
        assert len(tail) > 25

    def test_stays_within_its_limit(self, path: Path) -> None:
        writer = LogWriter(str(path), 8000)
        for _ in range(1000):
            writer.feed("stdout", b"some line\n")
            assert sum(path.with_name(name).stat().st_size for name in _segments(path)) <= 8000
        writer.finish(durable=False)
        assert writer.complete
        assert len(_segments(path)) == 3

    @pytest.mark.parametrize("every", [1, 3, 1000], ids=lambda every: f"ticks-{every}")
    def test_of_empty_lines_keeps_as_much_as_one_that_is_written_at_once(self, path: Path, every: int) -> None:
        writer = LogWriter(str(path), 8000)
        for number in range(1000):
            writer.feed("stdout", b"\n" * 40 + b"line %d\n" % number)
            if number % every == 0:
                writer.write_pending()
        writer.finish(durable=False)
        first, *last = sorted(int(name.removeprefix("log.").replace("log", "0")) for name in _segments(path))
        assert first == 0
        assert last[0] > 1  # a reader sees the gap
        tail = [text for number in last for *_, text in _records(path.with_name(f"log.{number}").read_bytes())]
        complete = [text for number in range(1000) for text in [*[""] * 40, f"line {number}"]]
        assert tail == complete[-len(tail) :]
        assert 2000 < sum(path.with_name(f"log.{number}").stat().st_size for number in last) <= 4000

    def test_shows_a_gap_to_who_has_read_up_to_it(self, path: Path) -> None:
        writer = LogWriter(str(path), 8000)
        writer.feed("stdout", b"some line\n" * 90)
        assert _segments(path) == ["log", "log.1"]
        for number in range(200):
            writer.feed("stdout", b"line %d\n" % number)
        writer.write_pending()
        assert not path.with_name("log.1").exists()
        assert not path.with_name("log.2").exists()  # it would follow what was read
        writer.finish(durable=False)

    def test_is_held_back_until_the_next_tick_only(self, path: Path) -> None:
        writer = LogWriter(str(path), 8000)
        writer.feed("stdout", b"some line\n" * 150)
        writer.feed("stderr", b"last")
        writer.feed("stdout", b"late line\n")
        writer.write_pending()
        assert _records(path.with_name("log.2").read_bytes())[-1] == ("stdout", "F", "late line")
        writer.write_pending()
        writer.finish(durable=False)
        assert _records(path.with_name("log.2").read_bytes())[-1] == ("stderr", "P", "last")

    def test_up_to_its_limit_loses_nothing(self, written: Callable[..., Written], path: Path) -> None:
        assert len(written(b"some line\n" * 50, limit_bytes=8000)) == 50
        assert _segments(path) == ["log"]

    def test_of_one_record_that_no_segment_can_hold_is_not_lost(self, written: Callable[..., Written]) -> None:
        assert written(b"x" * 500 + b"\n", limit_bytes=100) == [("stdout", "F", "x" * 500)]


@pytest.mark.parametrize("place", ["absent/log", "/dev/full"])
def test_a_disk_that_takes_nothing_never_stops_the_program(tmp_path: Path, place: str) -> None:
    if place.startswith("/") and not Path(place).exists():
        pytest.skip("this system has no /dev/full")
    writer = LogWriter(str(tmp_path / place), _LARGE_BYTES)
    for _ in range(3):
        writer.feed("stdout", b"some line\n")
    writer.finish(durable=True)
    assert not writer.complete


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        (b"get https://me:pw@h/x", "get https://****@h/x"),
        (b"get https://h/x.whl?sig=abc&b=c (3 MB)", "get https://h/x.whl?**** (3 MB)"),
        (b"get https://u:p@h/x?sig=a@b#egg=c and http://h?x=y", "get https://****@h/x?****#egg=c and http://h?****"),
        (b"('https://h/x?sig=abc')", "('https://h/x?****')"),
        (b"https://h/x? why", "https://h/x? why"),
        (b"what? ://", "what? ://"),
    ],
)
def test_credentials_and_queries_of_urls_are_masked_where_asked(path: Path, line: bytes, masked: str) -> None:
    writer = LogWriter(str(path), _LARGE_BYTES, masked=True)
    writer.feed("stdout", line + b"\n")
    writer.finish(durable=True)
    assert [text for _, _, text in _records(path.read_bytes())] == [masked]
