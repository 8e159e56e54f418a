"""One screen of a log: its end, what is before and after it, what is searched for; each record is shown once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchlite.runs import log_places, log_windows, logs
from orchlite.runs.log_places import END, START, Place, parsed_place
from orchlite.runs.log_windows import LogRow, LogWindow
from orchlite.runs.runner.log_writer import LogWriter

_LARGE_BYTES = 64 * 1024 * 1024
_GAP = "[orchlite: a part of the log is missing here, it was longer than the limit]"
Write = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def write(path: Path) -> Write:
    """Have the runner's writer write some output, and finish."""

    def write_(*pieces: bytes | tuple[str, bytes], limit_bytes: int = _LARGE_BYTES) -> None:
        writer = LogWriter(str(path), limit_bytes)
        for piece in pieces:
            writer.feed(*(piece if isinstance(piece, tuple) else ("stdout", piece)))
        writer.finish(durable=False)

    return write_


def _texts(rows: LogWindow | Iterator[LogRow] | list[LogRow]) -> list[str]:
    return [row.text for row in ((*rows.rows, *rows.unsettled) if isinstance(rows, LogWindow) else rows)]


def _lines(count: int, width: int = 0) -> bytes:
    return b"".join(b"line %d%b\n" % (number, b"." * width) for number in range(count))


def _backwards(path: Path) -> list[LogRow]:
    window = log_windows.at_end(path, has_ended=True)
    rows = [*window.rows]
    while window.has_earlier:
        window = log_windows.before(path, window.start)
        rows[:0] = window.rows
    return rows


def _forwards(path: Path, place: Place = START) -> list[LogRow]:
    window = log_windows.after(path, place, has_ended=True)
    rows = [*window.rows]
    while window.has_later:
        window = log_windows.after(path, window.end, has_ended=True)
        rows += window.rows
    return rows


class TestTheEnd:
    def test_is_all_of_a_short_log(self, path: Path, write: Write) -> None:
        write(b"first\nsecond\n", ("stderr", b"third"))
        window = log_windows.at_end(path, has_ended=True)
        assert [(row.text, row.stream) for row in window.rows] == [("first", "stdout"), ("second", "stdout"), ("third", "stderr")]
        assert (window.has_earlier, window.has_later) == (False, False)

    def test_is_the_newest_rows_of_a_long_log(self, path: Path, write: Write) -> None:
        write(_lines(5_000))
        window = log_windows.at_end(path, has_ended=True)
        assert _texts(window)[-1] == "line 4999"
        assert len(window.rows) == 400
        assert window.has_earlier

    def test_of_a_log_that_does_not_exist_is_empty(self, path: Path) -> None:
        assert log_windows.at_end(path, has_ended=False) == LogWindow([], [], START, START, has_earlier=False, has_later=False)

    def test_leaves_out_a_torn_record(self, path: Path, write: Write) -> None:
        write(b"whole\n")
        with path.open("ab") as file:
            file.write(b"2026-01-01T00:00:00.000000000Z stdout F to")
        window = log_windows.at_end(path, has_ended=False)
        assert _texts(window) == ["whole"]
        with path.open("ab") as file:
            file.write(b"rn\n")
        assert _texts(log_windows.after(path, window.end, has_ended=False)) == ["torn"]

    def test_leaves_out_what_is_not_in_the_format_of_a_log(self, path: Path, write: Write) -> None:
        write(b"first\n")
        with path.open("ab") as file:
            file.write(b"\0" * 200_000 + b"\nhello\n2026-02-31T00:00:00.000000000Z stdout F never\n\n")
            file.write(b"2026-02-28T00:00:00.000000000Z stdout F last\n")
        assert _texts(_backwards(path)) == _texts(_forwards(path)) == ["first", "last"]


class TestARedrawnRow:
    def test_shows_its_last_state(self, path: Path, write: Write) -> None:
        write(b"10%\r20%\r30%\ndone\n")
        assert _texts(log_windows.at_end(path, has_ended=True)) == ["30%", "done"]

    def test_that_may_still_change_is_read_again(self, path: Path, write: Write) -> None:
        write(b"start\n", b"\r10%")
        window = log_windows.at_end(path, has_ended=False)
        assert (_texts([*window.rows]), _texts([*window.unsettled])) == (["start"], ["10%"])
        with path.open("ab") as file:
            file.write(b"2026-01-01T00:00:00.000000000Z stdout F \r20%\n2026-01-01T00:00:09.000000000Z stdout F end\n")
        later = log_windows.after(path, window.end, has_ended=False)
        assert (_texts([*later.rows]), _texts([*later.unsettled])) == (["20%", "end"], [])

    def test_is_found_again_from_its_last_state_on(self, path: Path) -> None:
        """However often a bar was redrawn, a poll reads little."""
        with path.open("wb") as file:
            for number in range(6_000):
                file.write(b"2026-01-01T00:00:00.000000000Z stderr P \r%4d of 6000\n" % number)
        window = log_windows.at_end(path, has_ended=False)
        assert _texts([*window.unsettled]) == ["5999 of 6000"]
        assert log_places.bytes_after(path, window.end) < 100

    def test_does_not_repeat_what_the_other_stream_writes_meanwhile(self, path: Path) -> None:
        stamp = b"2026-01-01T00:00:00.000000000Z"
        path.write_bytes(b"%b stderr P \r 1%%\n" % stamp + b"".join(b"%b stdout F out %d\n" % (stamp, number) for number in range(3)))
        window = log_windows.at_end(path, has_ended=False)
        assert sorted(_texts(window)) == [" 1%", "out 0", "out 1", "out 2"]
        with path.open("ab") as file:
            file.write(b"%b stderr F \r 2%%\n%b stderr F bye\n" % (stamp, stamp))
        shown = _texts([*window.rows]) + _texts(log_windows.after(path, window.end, has_ended=True))
        assert sorted(shown) == [" 2%", "bye", "out 0", "out 1", "out 2"]


class TestALongLine:
    def test_is_shown_in_parts(self, path: Path, write: Write) -> None:
        write(b"x" * 1024 * 1024 + b"\nend\n")
        rows = _backwards(path)
        assert "".join(_texts(rows)) == "x" * 1024 * 1024 + "end"
        assert max(len(row.text) for row in rows) <= 32 * 1024

    def test_fills_a_screen_alone(self, path: Path, write: Write) -> None:
        write(b"before\n" + b"<" * 100_000)
        assert sum(len(row.text) for row in log_windows.at_end(path, has_ended=True).rows) <= 33_000


class TestAGap:
    def test_is_shown_once_in_either_direction(self, path: Path, write: Write) -> None:
        write(*(b"%06d\n" % number for number in range(3_000)), limit_bytes=60_000)
        whole = logs.read(path)
        assert _GAP in str(whole)
        assert _texts(_backwards(path)) == _texts(_forwards(path)) == [line.text for line in whole]
        assert [row.text for row in _forwards(path) if row.stream == "gap"] == [_GAP]

    def test_is_where_a_log_begins_again_for_a_place_that_was_dropped(self, path: Path, write: Write) -> None:
        write(*(b"%06d\n" % number for number in range(3_000)), limit_bytes=60_000)
        assert not path.with_name("log.1").exists()
        assert _texts(log_windows.after(path, Place(1, 100), has_ended=True))[0] == _GAP
        assert _texts(log_windows.before(path, Place(1, 100)))[-1] < "001500"


class TestSearching:
    def test_finds_the_nearest_record_in_either_direction(self, path: Path, write: Write) -> None:
        write(b"Ab 1\nno\nab 2\n" + _lines(3_000, 500) + b"aB 3\n")
        found = log_places.find_before(path, "AB ", END)
        seen = []
        while found is not None:
            window = log_windows.around(path, found, has_ended=True)
            assert window.found == found
            seen += [row.text for row in (*window.rows, *window.unsettled) if row.place == found]
            found = log_places.find_before(path, "AB ", found)
        assert seen == ["aB 3", "ab 2", "Ab 1"]
        first = log_places.find_after(path, "ab ", None)
        assert first == START
        second = log_places.find_after(path, "ab ", first)
        third = log_places.find_after(path, "ab ", second)
        assert [row.text for row in _forwards(path) if row.place in (second, third)] == ["ab 2", "aB 3"]
        assert log_places.find_after(path, "ab ", third) is None

    @pytest.mark.parametrize("words", ["stdout", "Z std", "202", " F "])
    def test_does_not_find_what_precedes_the_text(self, path: Path, write: Write, words: str) -> None:
        write(b"some\ntext\n")
        assert log_places.find_before(path, words, END) is None
        assert log_places.find_after(path, words, None) is None

    def test_finds_the_last_traceback(self, path: Path, write: Write) -> None:
        assert log_places.last_traceback(path) is None
        write(
            b"Traceback (most recent call last):\nold\n"
            + _lines(1_500, 500)
            + b"  Traceback (most recent call last):\nnew\n"
            + _lines(1_500, 500)
        )
        found = log_places.last_traceback(path)
        assert found is not None
        window = log_windows.around(path, found, has_ended=True)
        assert _texts(window)[5:7] == ["  Traceback (most recent call last):", "new"]
        assert window.rows[5].place == window.found == found

    def test_finds_the_row_that_a_carriage_return_has_left(self, path: Path, write: Write) -> None:
        write(b"wanted\rshown\n")
        found = log_places.find_before(path, "wanted", END)
        assert found is not None
        assert _texts(log_windows.around(path, found, has_ended=True)) == ["shown"]


@pytest.mark.parametrize("text", ["", "1", "1.", "-1.0", "1.0 ", "\u0661.0", "1.1.1", "9999999.0", "0." + "9" * 19])
def test_what_is_no_place_is_recognized(text: str) -> None:
    assert parsed_place(text) is None


def test_a_place_is_written_and_read() -> None:
    assert parsed_place(str(Place(3, 12_345))) == Place(3, 12_345)


def _visible(texts: Iterable[str]) -> list[str]:
    """Return the characters, without white space: a last row that has nothing else is not shown, because programs erase bars with it."""
    return sorted("".join("".join(texts).split()))


_PIECES = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.one_of(
            st.lists(st.text(st.characters(exclude_characters="\r\n\x1b", codec="utf-8"), max_size=9), max_size=9).map("\n".join),
            st.just("y" * 20_000),
        ),
    ),
    max_size=12,
)


@given(pieces=_PIECES, limit_bytes=st.sampled_from([50_000, 4_000_000]))
@settings(max_examples=25, deadline=None)
def test_each_line_is_shown_once_whatever_was_written(pieces: list[tuple[str, str]], limit_bytes: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "log")
        writer = LogWriter(str(path), limit_bytes)
        for stream, text in pieces:
            writer.feed(stream, text.encode())
        writer.finish(durable=False)
        wanted = _visible(line.text for line in logs.read(path))
        assert _visible(_texts(_backwards(path))) == _visible(_texts(_forwards(path))) == wanted


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_following_shows_what_reading_shows(seed: int) -> None:
    """What polls have settled, with what the last one has not, is what the whole log shows."""
    choose = random.Random(seed)
    with TemporaryDirectory() as folder:
        path = Path(folder, "log")
        writer = LogWriter(str(path), _LARGE_BYTES)
        settled: list[LogRow] = []
        end = START
        for _ in range(choose.randrange(1, 30)):
            writer.feed(choose.choice(["stdout", "stderr"]), choose.choice([b"a\n", b"b", b"c\nd\n", b"\r7%", b"\r8%\n"]))
            if choose.random() < 0.5:
                writer.write_pending()
                window = log_windows.after(path, end, has_ended=False)
                settled += window.rows
                assert window.end >= end
                end = window.end
        writer.finish(durable=False)
        settled += log_windows.after(path, end, has_ended=True).rows
        shown = _forwards(path)
        assert sorted(_texts(settled)) == sorted(_texts(shown))
