"""Reading a run's log: exact texts, parts joined, ends, gaps, torn records, and logs that still grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orchlite.core.errors import DeviceFailed
from orchlite.runs import logs
from orchlite.runs.logs import Log, LogLine, UnfinishedLine
from orchlite.runs.runner.log_writer import LogWriter

_STAMP = "2024-04-17T16:03:19.756251122Z"
_LARGE_BYTES = 1024 * 1024
_MARKER = "[orchlite: a part of the log is missing here, it was longer than the limit]"
Write = Callable[..., LogWriter]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def write(path: Path) -> Write:
    """Have the runner's writer write some output, and finish."""

    def write_(*pieces: bytes | tuple[str, bytes], limit_bytes: int = _LARGE_BYTES) -> LogWriter:
        writer = LogWriter(str(path), limit_bytes)
        for piece in pieces:
            writer.feed(*(piece if isinstance(piece, tuple) else ("stdout", piece)))
        writer.finish(durable=False)
        return writer

    return write_


class TestALine:
    def test_is_the_platforms_wire_form(self) -> None:
        line = LogLine(f"{_STAMP} stderr F some  text ")
        assert line == f"{_STAMP} stderr F some  text "
        assert (line.stream, line.text) == ("stderr", "some  text ")
        assert line.at == datetime(2024, 4, 17, 16, 3, 19, 756251, UTC)
        assert line.at.tzinfo is UTC

    @pytest.mark.parametrize("text", ["", " ", "a b c d e", "\t", "a\rb", "\u2028"], ids=ascii)
    def test_has_any_text(self, text: str) -> None:
        assert LogLine(f"{_STAMP} stdout F {text}").text == text


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\n", id="an empty line"),
        pytest.param(b"a\n\n\nb\n", id="empty lines"),
        pytest.param(b"no newline at the end", id="no newline at the end"),
        pytest.param(b"a\nb", id="no newline at the end of the second line"),
        pytest.param(b"a\r\nb\rc\x0b\x0c\x1c\n", id="other ends of lines"),
        pytest.param("\u0085 \u2028 \u2029 März 📈\n".encode(), id="Unicode's ends of lines"),
        pytest.param(b"x" * 100_000 + b"\nafter\n", id="a long line"),
        pytest.param(b"x" * 100_000, id="a long line without an end"),
        pytest.param("📈".encode() * 20_000 + b"\n", id="a long line of long characters"),
    ],
)
def test_the_text_is_exactly_what_was_written(path: Path, write: Write, output: bytes) -> None:
    write(output)
    assert str(logs.read(path)) == output.decode()
    assert all(len(line.split(" ", 3)) == 4 for line in logs.read(path))


def test_parts_of_interleaved_streams_are_joined_each_by_itself(path: Path, write: Write) -> None:
    write(("stdout", b"o" * 20_000), ("stderr", b"e" * 20_000), ("stdout", b"O\n"), ("stderr", b"E\n"))
    assert [(line.stream, line.text) for line in logs.read(path)] == [
        ("stdout", "o" * 20_000 + "O"),
        ("stderr", "e" * 20_000 + "E"),
    ]


def test_lines_that_never_ended_come_last_in_the_order_in_which_they_began(path: Path, write: Write) -> None:
    write(("stderr", b"first"), ("stdout", b"second"), ("stderr", b" and more"), ("stdin", b"whole\n"))
    assert [line.text for line in logs.read(path)] == ["whole", "first and more", "second"]


def test_in_parts_a_line_is_followed_before_it_ends(path: Path) -> None:
    writer = LogWriter(str(path), _LARGE_BYTES)
    steps: list[Callable[[], object]] = [
        lambda: writer.feed("stderr", b"whole\n 10%"),
        writer.write_pending,
        writer.write_pending,
        lambda: writer.feed("stderr", b" 20%\n"),
        lambda: writer.finish(durable=False),
    ]

    def has_ended() -> bool:
        if steps:
            steps.pop(0)()
        return not steps

    found = [(line.text, isinstance(line, UnfinishedLine)) for line in logs.follow(path, has_ended, in_parts=True)]
    assert found == [("whole", False), (" 10%", True), (" 20%", False)]
    assert [line.text for line in logs.read(path)] == ["whole", " 10% 20%"]


@pytest.mark.parametrize(("text", "shown"), [("", ""), ("a", "a"), ("\r 1%\r 2%", " 2%"), ("1%\r2%\r", "2%"), ("a\r", "a")], ids=ascii)
def test_the_last_state_of_a_line_is_what_a_terminal_shows(text: str, shown: str) -> None:
    assert logs.last_state(text) == shown


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert logs.read(tmp_path / "absent" / "log") == Log()
    assert str(Log()) == ""


@pytest.mark.parametrize(("limit", "texts"), [(0, []), (1, ["c"]), (2, ["b", "c"]), (9, ["a", "b", "c"]), (None, ["a", "b", "c"])])
def test_a_limit_keeps_the_newest_lines(path: Path, write: Write, limit: int | None, texts: list[str]) -> None:
    write(b"a\nb\nc\n")
    assert [line.text for line in logs.read(path, limit)] == texts


@pytest.mark.slow
def test_the_newest_lines_are_those_of_the_whole_log(path: Path, write: Write) -> None:
    pieces: list[bytes | tuple[str, bytes]] = [("stderr", b"the first of standard error\n")]
    for number in range(60):
        pieces.append(b"".join(b"%d of %d\n" % (number, line) for line in range(1000)))
        pieces.append(b"x" * 1000 * number + (b"\n" if number % 3 else b""))
        if number in (20, 59):
            pieces.append(("stderr", b"y" * 40_000 + b"\nshort\n"))
    write(*pieces, ("stderr", b"unfinished"), limit_bytes=64 * _LARGE_BYTES)
    whole = logs.read(path)
    assert path.stat().st_size > 3 * _LARGE_BYTES
    for limit in (0, 1, 2, 3, 50, 1500, 30_000, len(whole), len(whole) + 1):
        assert logs.read(path, limit) == whole[len(whole) - min(limit, len(whole)) :]


@pytest.mark.parametrize("newest_bytes", [2 * _LARGE_BYTES, 100], ids=["of one segment", "of two segments"])
def test_the_newest_lines_are_read_from_the_end_and_nothing_before(path: Path, newest_bytes: int) -> None:
    path.mkdir()  # which cannot be read
    with pytest.raises(DeviceFailed):
        logs.read(path)
    line = f"{_STAMP} stdout F {{}}\n"
    path.with_name("log.1").write_text(line.format("x" * 100) * (2 * _LARGE_BYTES // 150))
    path.with_name("log.2").write_text(line.format("x") * (newest_bytes // 43) + line.format("last"))
    assert [line.text for line in logs.read(path, 3)] == ["x", "x", "last"]


class TestALog:
    def test_is_searched_by_its_text(self, path: Path, write: Write) -> None:
        write(b"one two\nthree\n")
        log = logs.read(path)
        assert "two\nthree" in log
        assert "stdout" not in log
        assert "four" not in log

    def test_holds_its_lines(self, path: Path, write: Write) -> None:
        write(b"one\n")
        log = logs.read(path)
        assert log[0] in log
        assert LogLine(f"{_STAMP} stdout F one") not in log


class TestATornRecord:
    @pytest.mark.parametrize("rest", ["2024", f"{_STAMP} stdout", f"{_STAMP} stdout F", f"{_STAMP} stdout F tor"])
    def test_is_skipped(self, path: Path, write: Write, rest: str) -> None:
        write(b"whole\n")
        with path.open("a") as file:
            file.write(rest)
        assert [line.text for line in logs.read(path)] == ["whole"]

    def test_that_never_saw_its_end_hides_nothing_that_came_later(self, path: Path) -> None:
        path.write_text(f"2024-04\n{_STAMP} stdout F whole\n\n")
        assert [line.text for line in logs.read(path)] == ["whole"]


class TestAGap:
    def test_is_marked_once(self, path: Path, write: Write) -> None:
        write(*(b"line %d\n" % number for number in range(1000)), limit_bytes=8000)
        texts = [line.text for line in logs.read(path)]
        gap = texts.index(_MARKER)
        assert texts[:gap] == [f"line {number}" for number in range(gap)]
        assert texts[gap + 1 :] == [f"line {number}" for number in range(1000 - len(texts) + gap + 1, 1000)]
        assert sum(segment.stat().st_size for segment in path.parent.glob("log*")) <= 8000

    def test_does_not_join_a_line_with_another_one(self, path: Path, write: Write) -> None:
        write(b"x" * 20_000, *(b"y" * 15_000 + b"\n" for _ in range(20)), b"end\n", limit_bytes=80_000)
        texts = [line.text for line in logs.read(path)]
        assert _MARKER in texts
        assert texts[-1] == "end"
        assert texts[0] == "x" * 20_000 + "y" * 15_000

    def test_is_not_joined_with_a_long_line_of_standard_error_before_it(self, path: Path, write: Write) -> None:
        write(("stderr", b"x" * 20_000), *[b"line\n"] * 2000, limit_bytes=40_000)
        lines = logs.read(path)
        [gap] = [line for line in lines if "a part of the log is missing" in line.text]
        assert gap.text == _MARKER
        assert [len(line.text) for line in lines if line.stream == "stderr" and line != gap] in ([16_384], [16_384, 20_000 - 16_384])

    def test_is_not_marked_where_there_is_none(self, path: Path, write: Write) -> None:
        write(*(b"line %d\n" % number for number in range(100)), limit_bytes=8000)
        assert path.with_name("log.1").exists()
        assert [line.text for line in logs.read(path)] == [f"line {number}" for number in range(100)]


class TestFollowing:
    def test_yields_what_is_there_and_ends_with_the_run(self, path: Path, write: Write) -> None:
        write(b"a\nb")
        assert [line.text for line in logs.follow(path, lambda: True)] == ["a", "b"]

    def test_of_a_log_that_was_never_written_ends_with_the_run(self, path: Path) -> None:
        assert list(logs.follow(path, lambda: True)) == []

    def test_yields_lines_as_they_arrive(self, path: Path) -> None:
        writer, ended = LogWriter(str(path), _LARGE_BYTES), threading.Event()
        lines = logs.follow(path, ended.is_set)
        for number in range(3):
            writer.feed("stdout", b"%d\nunfin" % number)
            assert next(lines).text.endswith(str(number))
            writer.feed("stdout", b"ished ")
        writer.finish(durable=False)
        ended.set()
        assert [line.text for line in lines] == ["unfinished "]

    def test_sees_the_last_words_of_a_run_that_ends_meanwhile(self, path: Path) -> None:
        writer = LogWriter(str(path), _LARGE_BYTES)
        said: list[str] = []

        def has_ended() -> bool:
            if not said:
                said.append("last words")
                writer.feed("stdout", b"last words\n")  # after any earlier read of the log, before this returns
            return True

        assert [line.text for line in logs.follow(path, has_ended)] == said
        writer.finish(durable=False)

    def test_goes_on_through_all_segments_without_a_loss(self, path: Path) -> None:
        ended = threading.Event()

        def produce() -> None:
            writer = LogWriter(str(path), 400_000)
            for number in range(5000):
                writer.feed("stdout", b"line %d\n" % number)
                if number % 500 == 0:
                    time.sleep(0.01)
            writer.finish(durable=False)
            ended.set()

        thread = threading.Thread(target=produce)
        thread.start()
        texts = [line.text for line in logs.follow(path, ended.is_set)]
        thread.join()
        assert texts == [f"line {number}" for number in range(5000)]

    def test_waits_for_the_rest_of_a_torn_record(self, path: Path) -> None:
        ended = threading.Event()
        lines = logs.follow(path, ended.is_set)
        with path.open("w") as file:
            file.write(f"{_STAMP} stdout F whole\n{_STAMP} stdout F to")
            file.flush()
            assert next(lines).text == "whole"
            file.write("rn\n")
        ended.set()
        assert [line.text for line in lines] == ["torn"]


class TestTheHostsOwnLines:
    def test_stand_behind_what_is_there_in_the_same_form(self, path: Path, write: Write) -> None:
        write(b"installed\n")
        logs.append(path, datetime(2024, 4, 17, 18, 3, 19, 756251, timezone(timedelta(hours=2))), "two\nlines")
        assert [line.text for line in logs.read(path)] == ["installed", "two", "lines"]
        assert logs.read(path)[-1] == "2024-04-17T16:03:19.756251000Z stdout F lines"

    def test_begin_a_log_that_only_this_account_can_read(self, path: Path) -> None:
        logs.append(path, datetime(2024, 4, 17, tzinfo=UTC), "first")
        assert str(logs.read(path)) == "first\n"
        assert path.stat().st_mode & 0o777 == 0o600

    def test_may_stand_for_a_log_that_was_never_written(self) -> None:
        log = logs.of_text(datetime(2024, 4, 17, tzinfo=UTC), "why\nnot")
        assert [(line.stream, line.text) for line in log] == [("stderr", "why"), ("stderr", "not")]
