"""Runs that could not be started for want of a resource: which errors mean that, and when such a run is tried again."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite import BadArgument, PackagingFailed, ResourceExhausted, StorageFull
from orchlite.core.system_errors import is_shortage
from orchlite.environments.builds import Installation
from orchlite.environments.environments import Environments
from orchlite.operations.postponed_runs import PostponedRuns


class _Seconds:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Seconds:
    return _Seconds()


@pytest.fixture
def postponed(clock: _Seconds) -> PostponedRuns:
    return PostponedRuns(clock)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        *((OSError(number, "x"), True) for number in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EDQUOT)),
        *((OSError(number, "x"), False) for number in (errno.EACCES, errno.ENOENT, errno.EIO, errno.EROFS, errno.ELOOP, errno.E2BIG)),
        *((MemoryError(), True), (ResourceExhausted("x"), True), (StorageFull("x"), True)),
        *((BadArgument("x"), False), (PackagingFailed("x"), False), (RuntimeError("x"), False)),
    ],
    ids=repr,
)
def test_a_shortage_is_what_passes_by_itself(error: Exception, is_one: bool) -> None:
    assert is_shortage(error) is is_one
    outer = RuntimeError("outer")
    outer.__cause__ = error
    assert is_shortage(outer) is is_one


class TestAPostponedRun:
    def test_is_tried_after_a_growing_delay_for_ten_minutes(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        delays = []
        while (delay_seconds := postponed.postpone("run")) is not None:
            delays.append(delay_seconds)
            clock.now += delay_seconds
        assert delays[:7] == [1, 2, 4, 8, 16, 30, 30]
        assert 570 <= sum(delays) < 600

    def test_is_tried_until_its_starting_deadline(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        left_seconds, delays = 20.0, []
        while (delay_seconds := postponed.postpone("run", left_seconds)) is not None:
            delays.append(delay_seconds)
            clock.now += delay_seconds
            left_seconds -= delay_seconds
        assert delays == [1, 2, 4, 8]
        assert postponed.postpone("other", 0.5) is None

    def test_is_due_when_its_delay_is_over(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        postponed.postpone("a")
        clock.now += 0.5
        postponed.postpone("b")
        assert (postponed.not_due(), postponed.seconds_until_due()) == (("a", "b"), 0.5)
        clock.now += 0.5
        assert (postponed.not_due(), postponed.seconds_until_due()) == (("b",), 0.5)
        clock.now += 0.5
        assert (postponed.not_due(), postponed.seconds_until_due()) == ((), None)

    def test_is_news_once_when_it_is_postponed_and_once_when_it_is_due(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        assert not postponed.take_news()
        for _ in range(2):
            delay_seconds = postponed.postpone("a")
            assert delay_seconds is not None
            assert [postponed.take_news() for _ in range(3)] == [True, False, False]
            clock.now += delay_seconds
            assert [postponed.take_news() for _ in range(3)] == [True, False, False]

    def test_is_tried_for_as_long_as_its_starting_deadline_allows(self, postponed: PostponedRuns) -> None:
        assert {postponed.postpone("run", 1e6) for _ in range(2000)} == {1, 2, 4, 8, 16, 30}

    def test_is_forgotten_when_it_has_ended(self, postponed: PostponedRuns) -> None:
        postponed.postpone("a")
        assert postponed.count("a") == 1
        postponed.forget("a")
        postponed.forget("unknown")
        assert (postponed.count("a"), postponed.not_due(), postponed.take_news()) == (0, (), False)


class TestAPauseOfAllRuns:
    def test_grows_and_is_repeated_without_end(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        delays = []
        for _ in range(50):
            delays.append(postponed.pause())
            assert postponed.pause() == delays[-1], "they are paused already"
            assert (postponed.are_paused(), postponed.not_due(), postponed.seconds_until_due()) == (True, (), delays[-1])
            clock.now += delays[-1]
            assert not postponed.are_paused()
        assert delays[:7] == [1, 2, 4, 8, 16, 30, 30]
        assert set(delays[6:]) == {30}

    def test_is_news_when_it_begins_and_when_it_ends(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        pause_seconds = postponed.pause()
        assert [postponed.take_news() for _ in range(2)] == [True, False]
        clock.now += pause_seconds
        assert [postponed.take_news() for _ in range(2)] == [True, False]

    def test_begins_short_again_after_a_run_was_started(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        for _ in range(3):
            clock.now += postponed.pause()
        postponed.resume()
        assert (postponed.are_paused(), postponed.pause()) == (False, 1)


class _Lacking(Environments):
    """Environments of a machine that lacks something, each time for the error in `errors` that is next, when `go_on` is set.

    The thread that submits a run neither waits nor takes an error away.
    """

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        self.errors: list[OSError] = []
        self.go_on = threading.Event()

    def find(self, key: str) -> Installation | None:
        if self.errors and threading.current_thread() is threading.main_thread():
            raise self.errors[-1]
        if self.errors:
            assert self.go_on.wait(20)
            raise self.errors.pop()
        return super().find(key)


@pytest.fixture
def lacking(shared_cache: Path) -> _Lacking:
    return _Lacking(shared_cache)


_Submit = Callable[[int], orchlite.Task]
"""Submits a run that meets the error of this number once."""


class TestARunThatCannotBeStarted:
    @pytest.fixture
    def task(self, open_client: Callable[..., orchlite.Client], lacking: _Lacking, smallest_bundle: bytes) -> _Submit:
        def submit(number: int) -> orchlite.Task:
            orchestration = open_client(environment=lacking).upload_orchestration(smallest_bundle).wait()
            lacking.errors = [OSError(number, os.strerror(number))]
            return orchestration.run_once()

        return submit

    def test_for_the_moment_is_started_later_and_leaves_nothing_of_the_first_attempt(
        self, task: _Submit, lacking: _Lacking, open_client: Callable[..., orchlite.Client]
    ) -> None:
        submitted = task(errno.ENOMEM)
        lacking.go_on.set()
        run = submitted.wait()
        assert run.status() == "success"
        client = open_client()
        *_, first_at, _, second_at, _ = (event.at() for event in client.events() if event.object_id() == run.id())
        assert second_at - first_at >= timedelta(seconds=0.95)
        attempts = [path.name for path in (client.path() / "runs" / run.id()).iterdir() if path.is_dir()]
        assert attempts == ["2"]

    def test_for_another_reason_fails_at_once(self, task: _Submit, lacking: _Lacking) -> None:
        submitted = task(errno.EACCES)
        lacking.go_on.set()
        run = submitted.wait()
        assert (run.status(), run.reason()) == ("failure", "it could not be started: [Errno 13] Permission denied")

    def test_is_not_started_later_if_it_was_killed_meanwhile(self, task: _Submit, lacking: _Lacking) -> None:
        submitted = task(errno.ENOMEM)
        while submitted.last_runs()[0].status() != "running":
            time.sleep(0.005)
        submitted.kill()
        lacking.go_on.set()
        run = submitted.wait()
        assert (run.status(), run.reason()) == ("killed", "it could not be started: [Errno 12] Cannot allocate memory")
