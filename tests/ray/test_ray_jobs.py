"""`RayJobs` places, watches and ends jobs by what the head says, and tells what the user should know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from orchlite import BadArgument, Closed, DeviceFailed
from orchlite.core.records import Placement
from orchlite.ray import RayJobs
from orchlite.ray.jobs_api import JobsApi
from orchlite.ray.watch import Watch
from orchlite.runs.cluster import ClusterRefused, ClusterUnreachable, Job, PlacedRun
from orchlite.runs.logs import read
from orchlite.runs.spec import Ended, Lost, NeverStarted, Observation
from tests.ray.fake_head import FakeHead, serving
from tests.ray.output import BEGINS, printed, result_line

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def jobs(url: str) -> Iterator[RayJobs]:
    jobs = RayJobs(url, max_runs=3)
    yield jobs
    jobs.close()


@pytest.fixture
def job(tmp_path: Path, smallest_bundle: bytes) -> Job:
    (tmp_path / "bundle.zip").write_bytes(smallest_bundle)
    return Job("r1", 2, b'{"arguments": "secret"}', tmp_path / "bundle.zip", "ab" * 32)


@pytest.fixture
def placed(head: FakeHead, tmp_path: Path) -> PlacedRun:
    """A run whose job the head has."""
    placement = Placement("ray", "orchlite-r1-2", head.session)
    head.add_job(placement.job_id)
    return PlacedRun("r1", 2, placement, tmp_path / "2" / "log", 1_000_000)


class Waiting(threading.Thread):
    """A thread that waits for a run."""

    def __init__(self, jobs: RayJobs, run: PlacedRun) -> None:
        super().__init__()
        self._jobs, self._run = jobs, run
        self.reports: list[str] = []
        self.outcome: Observation | BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._jobs.wait(self._run, self.reports.append)
        except BaseException as error:
            self.outcome = error


def _ended(found: object) -> Ended:
    assert isinstance(found, Ended), found
    return found


def test_a_placement_names_the_run_its_attempt_and_the_life_of_the_cluster(head: FakeHead, jobs: RayJobs) -> None:
    assert jobs.reserve("r1", 2) == Placement(f"ray at {jobs.url}", "orchlite-r1-2", head.session)


def test_a_run_is_placed_once(head: FakeHead, jobs: RayJobs, job: Job) -> None:
    placement = jobs.reserve("r1", 2)
    jobs.place(job, placement)
    jobs.place(job, placement)
    assert list(head.jobs) == ["orchlite-r1-2"]
    request = head.jobs["orchlite-r1-2"]["request"]
    assert request["entrypoint"] == "exec python -m orchlite.node"
    assert request["entrypoint_num_cpus"] == 1


def test_nothing_of_a_run_stands_in_the_request_that_creates_its_job(head: FakeHead, jobs: RayJobs, job: Job) -> None:
    jobs.place(job, jobs.reserve("r1", 2))
    assert "secret" not in str(head.jobs)


def test_code_and_bundle_are_sent_once_and_a_document_for_each_run(head: FakeHead, jobs: RayJobs, job: Job) -> None:
    for number in range(3):
        jobs.place(job._replace(run_id=f"r{number}", document=b"%d" % number), jobs.reserve(f"r{number}", 1))
    assert (head.counted("PUT"), len(head.packages), len(head.jobs)) == (5, 5, 3)


def test_a_cluster_that_was_started_again_gets_all_packages(head: FakeHead, jobs: RayJobs, job: Job) -> None:
    jobs.place(job, jobs.reserve("r1", 1))
    head.session, head.packages = "another", {}
    jobs.place(job, jobs.reserve("r1", 2))
    assert len(head.packages) == 3


def test_a_run_is_not_placed_in_another_life_of_the_cluster(head: FakeHead, jobs: RayJobs, job: Job) -> None:
    placement = jobs.reserve("r1", 2)
    head.session = "another"
    with pytest.raises(ClusterUnreachable, match="started again"):
        jobs.place(job, placement)
    assert head.jobs == {}


def test_a_head_that_does_not_accept_a_run_says_why(head: FakeHead, jobs: RayJobs, job: Job) -> None:
    placement = jobs.reserve("r1", 2)
    head.failure = (400, "ValueError: no such resource")
    with pytest.raises(ClusterRefused, match="no such resource"):
        jobs.place(job, placement)


def test_a_run_ends_as_its_result_line_says_whatever_the_status_is(head: FakeHead, jobs: RayJobs, placed: PlacedRun) -> None:
    head.logs["orchlite-r1-2"] = BEGINS + printed("a", "b") + result_line(3, exit_code=3, status="failure")
    ended = _ended(jobs.wait(placed, print))
    assert (ended.attempt, ended.result.status, ended.result.exit_code) == (2, "failure", 3)
    assert str(read(placed.log)) == "a\nb\n"


def test_lines_are_there_before_the_end(head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until) -> None:
    waiting = Waiting(jobs, placed)
    head.logs["orchlite-r1-2"] += printed("a")
    until(lambda: str(read(placed.log)) == "a\n")
    assert waiting.is_alive()
    head.logs["orchlite-r1-2"] += printed("b", first=2) + result_line(3)
    waiting.join()
    assert str(read(placed.log)) == "a\nb\n"
    assert waiting.reports == []


def test_many_runs_are_polled_by_one_thread(head: FakeHead, jobs: RayJobs, tmp_path: Path, until: Until) -> None:
    runs = [PlacedRun(f"r{n}", 1, Placement("ray", f"j{n}", head.session), tmp_path / f"{n}" / "log", 10_000) for n in range(5)]
    for run in runs:
        head.add_job(run.placement.job_id)
    waiting = [Waiting(jobs, run) for run in runs]
    until(lambda: all(head.counted(f"/api/jobs/j{n}") for n in range(5)))
    assert [thread.name for thread in threading.enumerate() if thread.name == "orchlite-ray"] == ["orchlite-ray"]
    for number, run in enumerate(runs):
        head.logs[run.placement.job_id] = printed(f"of {number}") + result_line(2)
    for thread in waiting:
        thread.join()
    assert [str(read(run.log)) for run in runs] == [f"of {n}\n" for n in range(5)]
    until(lambda: "orchlite-ray" not in [thread.name for thread in threading.enumerate()])


def test_a_poll_asks_twice_for_a_run_and_pauses(head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until) -> None:
    waiting = Waiting(jobs, placed)
    until(lambda: head.requests)
    begun = time.monotonic()
    until(lambda: len(head.requests) >= 5)
    assert time.monotonic() - begun > 0.9
    jobs.close()
    waiting.join()


@pytest.mark.parametrize(
    ("output", "ended_as"),
    [
        (b"", ("killed", "its task was killed")),
        (result_line(1, status="failure", exit_code=143), ("killed", "its task was killed")),  # before the node program heard of it
        (result_line(1, status="failure", exit_code=3), ("failure", None)),
        (result_line(1, status="timed_out", exit_code=143), ("timed_out", None)),
    ],
)
def test_a_killed_run_has_the_reason_of_its_host(
    head: FakeHead, jobs: RayJobs, placed: PlacedRun, output: bytes, ended_as: tuple[str, str | None]
) -> None:
    head.logs[placed.placement.job_id] = output
    jobs.cancel(placed, "its task was killed")
    result = _ended(jobs.wait(placed, print)).result
    assert (result.status, result.reason) == ended_as


def test_a_run_that_waits_for_resources_is_killed_and_leaves_nothing_to_execute(
    head: FakeHead, jobs: RayJobs, job: Job, placed: PlacedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchlite.ray.watch._STOP_PATIENCE_SECONDS", 0)
    head.stops = "later"
    head.jobs.clear()
    jobs.place(job, placed.placement)
    waiting = Waiting(jobs, placed)
    jobs.cancel(placed, "enough")
    waiting.join()
    result = _ended(waiting.outcome).result
    assert (result.status, result.started_at, result.reason) == ("killed", None, "enough")
    [document] = [content for name, content in head.packages.items() if placed.placement.job_id in name]
    assert ZipFile(BytesIO(document)).namelist() == []


def test_the_package_of_a_job_on_a_node_is_left_alone(head: FakeHead, jobs: RayJobs, placed: PlacedRun) -> None:
    jobs.cancel(placed, "enough")
    assert head.packages == {}


def test_a_run_is_not_called_killed_before_ray_has_accepted_to_stop_it(
    head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until
) -> None:
    head.jobs["orchlite-r1-2"].update(status="PENDING", driver_node_id=None)
    waiting = Waiting(jobs, placed)
    head.stops = "not yet"  # it has just accepted the job
    with pytest.raises(DeviceFailed, match="cannot stop it yet"):
        jobs.cancel(placed, "enough")
    head.requests.clear()
    until(lambda: head.counted("GET /api/jobs/") > 1)
    assert waiting.is_alive()
    head.stops = "at once"
    jobs.cancel(placed, "enough")
    waiting.join()
    assert _ended(waiting.outcome).result.reason == "enough"


def test_a_request_to_stop_a_run_that_is_not_there_does_not_end_it_once_it_is(
    head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until
) -> None:
    found = head.jobs.pop("orchlite-r1-2")
    jobs.cancel(placed, "enough")  # while it is being placed
    head.jobs["orchlite-r1-2"] = {**found, "status": "PENDING", "driver_node_id": None}
    waiting = Waiting(jobs, placed)
    until(lambda: head.counted("GET /api/jobs/") > 2)
    assert waiting.is_alive()
    jobs.cancel(placed, "enough")
    waiting.join()


def test_a_run_that_may_have_been_accepted_is_not_refused(head: FakeHead, jobs: RayJobs, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    placement = jobs.reserve("r1", 2)
    submit = head._submit

    def accept(request: dict[str, object]) -> tuple[int, bytes]:
        submit(request)
        head.failure = (403, "a proxy says no")
        return 504, b"a proxy waits no longer"

    monkeypatch.setattr(head, "_submit", accept)
    with pytest.raises(ClusterUnreachable):
        jobs.place(job, placement)
    assert list(head.jobs) == [placement.job_id]


def test_a_run_is_not_placed_after_closing(head: FakeHead, jobs: RayJobs, job: Job) -> None:
    placement = jobs.reserve("r1", 2)
    jobs.close()
    with pytest.raises(Closed):
        jobs.place(job, placement)
    assert head.jobs == {}


def test_a_log_that_was_cut_off_is_read_again_before_the_outcome(head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until) -> None:
    head.jobs["orchlite-r1-2"].update(status="SUCCEEDED")
    head.logs["orchlite-r1-2"] = printed("a", "b") + result_line(3)
    head.log_breaks_after = 100
    waiting = Waiting(jobs, placed)
    until(lambda: head.counted("/logs/file") > 2)
    assert waiting.is_alive()
    head.log_breaks_after = None
    waiting.join()
    assert (_ended(waiting.outcome).result.status, str(read(placed.log))) == ("success", "a\nb\n")


@pytest.mark.parametrize(
    "content",
    [
        "<html>",
        "[]",
        "{}",
        '{"status": null}',
        "[" * 9999,
        '{"status": "RUNNING", "end_time": "now"}',
        '{"status": "FAILED", "end_time": 1e300}',
    ],
)
def test_a_head_that_makes_no_sense_is_reported_and_has_lost_the_run_in_the_end(
    head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until, content: str
) -> None:
    head.failure = (200, content)
    waiting = Waiting(jobs, placed)
    until(lambda: waiting.reports)
    assert "not the head of a Ray cluster" in waiting.reports[0]
    jobs.close()
    waiting.join()
    jobs = RayJobs(jobs.url)
    jobs.lost_after_seconds = 0
    assert isinstance(jobs.wait(placed, print), Lost)


def test_a_page_of_another_server_has_not_lost_the_run(head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until) -> None:
    head.failure = (404, "<html>nothing here</html>")
    waiting = Waiting(jobs, placed)
    until(lambda: waiting.reports)
    assert "not the head" in waiting.reports[0]
    head.failure = None
    head.logs["orchlite-r1-2"] = result_line(1)
    waiting.join()
    assert _ended(waiting.outcome).result.status == "success"


def test_a_page_of_something_in_between_is_no_answer_about_the_job(head: FakeHead, jobs: RayJobs, placed: PlacedRun) -> None:
    jobs.reserve("r1", 2)
    respond, pages = head.respond, [(404, b"<html>the default backend</html>")]

    def interrupted(method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        return pages.pop() if pages and path.startswith("/api/jobs/") else respond(method, path, query, body)

    head.respond = interrupted  # type: ignore[method-assign]
    head.logs["orchlite-r1-2"] = result_line(1)
    assert _ended(jobs.wait(placed, print)).result.status == "success"
    assert pages == []


def test_a_node_that_takes_long_to_give_no_log_holds_up_the_others_once(head: FakeHead, url: str, tmp_path: Path) -> None:
    api, watches = JobsApi(url, None), []
    for number in range(5):
        run = PlacedRun(f"r{number}", 1, Placement("ray", f"j{number}", head.session), tmp_path / f"{number}" / "log", 10_000)
        head.add_job(f"j{number}")
        watches.append(Watch(api, run, 100, print))

    def slow(query: dict[str, list[str]]) -> tuple[int, bytes]:
        time.sleep(1.1)
        return 500, b"timed out"

    head._log = slow  # type: ignore[method-assign]
    for watch in watches:
        assert watch.poll() is None
    assert (head.counted("/logs/file"), head.counted("/api/jobs/")) == (1, 5)
    head.logs["j4"] = result_line(1)
    del head._log
    head.jobs["j4"].update(status="SUCCEEDED")
    assert watches[4].poll() is not None  # whatever the node was before


def test_a_run_is_stopped_even_if_its_package_cannot_be_emptied(head: FakeHead, jobs: RayJobs, job: Job, tmp_path: Path) -> None:
    placement = jobs.reserve("r1", 2)
    jobs.place(job, placement)
    respond = head.respond

    def full(method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        return (500, b"no space") if method == "PUT" else respond(method, path, query, body)

    head.respond = full  # type: ignore[method-assign]
    jobs.cancel(PlacedRun("r1", 2, placement, tmp_path / "log", 10_000), "enough")
    assert head.jobs[placement.job_id]["status"] == "STOPPED"


def test_nothing_is_copied_after_closing_since_the_next_host_copies(head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until) -> None:
    head.logs["orchlite-r1-2"] = printed("a")
    held, asked = threading.Event(), threading.Event()
    respond = head._log

    def slow(query: dict[str, list[str]]) -> tuple[int, bytes]:
        asked.set()
        held.wait()
        return respond(query)

    head._log = slow  # type: ignore[method-assign]
    waiting = Waiting(jobs, placed)
    asked.wait()
    jobs.close()
    waiting.join()  # at once: the request is still under way
    held.set()
    until(lambda: "orchlite-ray" not in [thread.name for thread in threading.enumerate()])
    assert str(read(placed.log)) == ""
    head._log = respond  # type: ignore[method-assign]


def test_a_job_that_the_cluster_never_had_was_never_started(head: FakeHead, jobs: RayJobs, placed: PlacedRun) -> None:
    head.jobs.clear()
    assert isinstance(jobs.wait(placed, print), NeverStarted)


def test_a_job_that_was_there_and_is_gone_is_unknown(head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until) -> None:
    waiting = Waiting(jobs, placed)
    until(lambda: placed.log.with_name("log.copied").exists())
    head.jobs.clear()
    waiting.join()
    assert isinstance(waiting.outcome, Lost)
    assert isinstance(jobs.wait(placed, print), Lost)  # as the next host would


def test_a_cluster_that_was_started_again_has_lost_the_run(head: FakeHead, jobs: RayJobs, placed: PlacedRun) -> None:
    head.jobs.clear()
    head.session = "another"
    lost = jobs.wait(placed, print)
    assert isinstance(lost, Lost)
    assert "was started again and does not have it" in str(lost.reason)
    assert "may still be running" in str(lost.reason)


def test_the_log_of_a_dead_node_stays_as_far_as_it_was_copied(
    head: FakeHead, url: str, placed: PlacedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(JobsApi(url, None), placed, 100, print)
    head.logs["orchlite-r1-2"] = printed("a")
    assert watch.poll() is None
    head.has_logs = False
    died = "Job supervisor actor died: The node was terminated."
    head.jobs["orchlite-r1-2"].update(status="FAILED", error_type="JOB_SUPERVISOR_ACTOR_DIED", message=died)
    monkeypatch.setattr("orchlite.ray.watch._LOG_PATIENCE_SECONDS", 0)
    assert watch.poll() == Lost(2, f"Ray has lost it, so its outcome is not known: {died}")
    assert str(read(placed.log)) == "a\n"


def test_the_result_of_a_failed_command_is_found_in_the_message_of_ray(head: FakeHead, jobs: RayJobs, placed: PlacedRun) -> None:
    message = (
        "Job entrypoint command failed with exit code 1, last available logs:\n" + result_line(1, status="failure", exit_code=1).decode()
    )
    head.jobs["orchlite-r1-2"].update(status="FAILED", error_type="JOB_ENTRYPOINT_COMMAND_ERROR", message=message, driver_node_id=None)
    assert _ended(jobs.wait(placed, print)).result.exit_code == 1


def test_a_silent_cluster_is_reported_once_and_again_when_it_responds(
    head: FakeHead, jobs: RayJobs, placed: PlacedRun, until: Until
) -> None:
    waiting = Waiting(jobs, placed)
    until(lambda: head.requests)
    head.failure = (503, "starting")
    until(lambda: waiting.reports)
    assert "HTTP 503: starting The run may continue there; it becomes unknown if that lasts 10 min 00 s from" in waiting.reports[0]
    head.failure = None
    until(lambda: len(waiting.reports) == 2)
    assert waiting.reports[1] == ""
    head.logs["orchlite-r1-2"] = result_line(1)
    waiting.join()
    assert len(waiting.reports) == 2


def test_a_cluster_that_is_silent_for_too_long_has_lost_the_run(placed: PlacedRun) -> None:
    with serving(FakeHead()) as url:
        pass
    jobs = RayJobs(url, lost_after=61)
    jobs.lost_after_seconds = 0
    lost = jobs.wait(placed, print)
    assert isinstance(lost, Lost)
    assert "does not respond" in str(lost.reason)
    assert "its program may still be running" in str(lost.reason)


def test_closing_leaves_the_jobs_and_their_threads_alone(head: FakeHead, jobs: RayJobs, placed: PlacedRun) -> None:
    waiting = Waiting(jobs, placed)
    jobs.close()
    waiting.join()
    assert isinstance(waiting.outcome, Closed)
    assert head.jobs["orchlite-r1-2"]["status"] == "RUNNING"
    with pytest.raises(Closed):
        jobs.wait(placed, print)


@pytest.mark.parametrize(
    "url", ["head:8265", "ftp://head", "http://", "http://head:port", "http://u:w@head:1", "http://head/?a=b", "", 8265]
)
def test_an_address_is_that_of_a_head(url: str) -> None:
    with pytest.raises(BadArgument):
        RayJobs(url)


def test_lost_after_is_longer_than_a_node_outlives_its_head() -> None:
    with pytest.raises(BadArgument, match="lost_after is 60 seconds"):
        RayJobs("http://head:8265", lost_after="1m")


@pytest.mark.parametrize("resources", [{}, {"CPU": 0}, {"CPU": -1}, {"CPU": "1"}, {"CPU": True}, {1: 1}, {"CPU": float("inf")}, 4])
def test_resources_are_amounts_by_name(resources: dict[str, float]) -> None:
    with pytest.raises(BadArgument, match="resources is"):
        RayJobs("http://head:8265", resources=resources)


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(RayJobs("http://head:8265", token="secret"))
