"""The log of a run, one screen at a time."""

from __future__ import annotations

from collections.abc import Iterator

from orchlite.client.task_run import TaskRun
from orchlite.runs import log_places, log_windows
from orchlite.runs.log_places import END, START
from orchlite.runs.log_places import Place as Place
from orchlite.runs.log_places import parsed_place as parsed_place
from orchlite.runs.log_windows import LogRow as LogRow
from orchlite.runs.log_windows import LogWindow as LogWindow

EMPTY = LogWindow([], [], START, START, has_earlier=False, has_later=False)
"""What there is to see of a log that cannot be read."""
_SKIPPED_BYTES = 512 * 1024
"""A reader who is further behind than this sees the end of the log next."""


class RunLog:
    """The log of one run. Every method reads the part of it that it returns; searching reads up to all of it.

    Raises:
        DeviceFailed: the log cannot be read.
        NotFound: the run was deleted or pruned.
    """

    def __init__(self, run: TaskRun) -> None:
        row = run._row()
        self._path = run._log_path(row)
        self.has_ended = row.status.is_final
        """Whether the run had ended when this was made: then no more is written."""

    def end(self) -> LogWindow:
        """Return the newest rows."""
        return log_windows.at_end(self._path, has_ended=self.has_ended)

    def start(self) -> LogWindow:
        """Return the oldest rows."""
        return self.after(START)

    def before(self, place: Place) -> LogWindow:
        """Return the rows that end before a place."""
        return log_windows.before(self._path, place)

    def after(self, place: Place) -> LogWindow:
        """Return the rows from a place on."""
        return log_windows.after(self._path, place, has_ended=self.has_ended)

    def around(self, place: Place) -> LogWindow:
        """Return the row of the record at this place as the found one, with those around it."""
        return log_windows.around(self._path, place, has_ended=self.has_ended)

    def is_far_behind(self, place: Place) -> bool:
        """Return whether more of the log follows a place than a reader should be shown row by row."""
        return log_places.bytes_after(self._path, place) > _SKIPPED_BYTES

    def earlier(self, words: str, place: Place = END) -> Place | None:
        """Return the place of the last record before a place that contains these words, in any case."""
        return log_places.find_before(self._path, words, place)

    def later(self, words: str, place: Place | None = None) -> Place | None:
        """Return the place of the first record that contains these words, in any case: of those behind the one at a place, or of all."""
        return log_places.find_after(self._path, words, place)

    def last_traceback(self) -> Place | None:
        """Return the place of the first line of the last Python traceback."""
        return log_places.last_traceback(self._path)

    def texts(self) -> Iterator[str]:
        """Yield all of the text as it was written, in pieces of any length."""
        return log_places.texts(self._path)

    def size_bytes(self) -> int:
        """Return the size of the log, times and all."""
        return log_places.bytes_after(self._path, START)
