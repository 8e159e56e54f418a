"""Runs that a cluster executes: their outcomes, kills at every point, and a cluster that does not respond, refuses, or forgets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite import BadArgument, RunStatus, TaskRun
from orchlite.client.client import engine_of
from orchlite.core.clock import SystemClock
from orchlite.core.records import Placement
from orchlite.runs.cluster import ClusterUnreachable, Job, PlacedRun
from orchlite.testing import ManualClock, StubProcess
from tests.fake_cluster import FakeCluster
from tests.operations.notebook import Notebook

OpenClient = Callable[..., orchlite.Client]
MakeFolder = Callable[..., Path]
Until = Callable[[Callable[[], object]], None]

_ENDLESS = "import time\nprint('begun', flush=True)\ntime.sleep(60)"
_KILLED = "it was killed on request"
_NEVER = "it was killed before it started"


class _Stoppable(FakeCluster):
    """Stops at the step named in `stop_at`, until `go_on` is set."""

    stop_at = ""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.stopped, self.go_on = threading.Event(), threading.Event()

    def reserve(self, run_id: str, attempt: int) -> Placement:
        placement = super().reserve(run_id, attempt)
        self._step("reserve")
        return placement

    def place(self, job: Job, placement: Placement) -> None:
        self._step("before place")
        super().place(job, placement)
        self._step("after place")

    def _step(self, name: str) -> None:
        if name == self.stop_at:
            self.stop_at = ""
            self.stopped.set()
            assert self.go_on.wait(20)


class _Unsure(FakeCluster):
    """Accepts runs without saying so, as often as `times` says; or does not get them."""

    times, gets_them = 1, True

    def place(self, job: Job, placement: Placement) -> None:
        if self.times:
            self.times -= 1
            if self.gets_them:
                super().place(job, placement)
            raise ClusterUnreachable("The cluster has not answered in time.")
        super().place(job, placement)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    cluster = FakeCluster(tmp_path / "cluster")
    yield cluster
    cluster.end_jobs()


@pytest.fixture
def client(open_client: OpenClient, cluster: FakeCluster) -> orchlite.Client:
    return open_client(engine=cluster)


class Poisoned(FakeCluster):
    """A cluster that never responds to the request to end its first run."""

    def cancel(self, run: PlacedRun, reason: str) -> None:
        if run.placement.job_id == self.starts()[0]:
            raise ClusterUnreachable("It is of no use.")
        super().cancel(run, reason)


def _placement(client: orchlite.Client, run: TaskRun) -> Placement | None:
    return engine_of(client).store.runs.get(run.id()).placement


def _reason(client: orchlite.Client, run: TaskRun) -> str:
    return engine_of(client).store.runs.get(run.id()).reason or ""


def _submitted(client: orchlite.Client, path: Path, **settings: object) -> TaskRun:
    return client.upload_orchestration(path=path).wait().run_once(**settings).last_runs()[0]  # type: ignore[arg-type]


class TestARunOnACluster:
    def test_ends_as_its_program_does_with_its_output_arguments_metrics_and_packages(
        self, client: orchlite.Client, cluster: FakeCluster, folder: MakeFolder
    ) -> None:
        program = "import json, os\nprint(os.environ['ARGUMENTS'])\njson.dump({'auc': 0.5}, open('metrics.json', 'w'))"
        run = client.run(folder(program), {"name": "Ada"})
        assert (run.status(), run.exit_code(), str(run.logs()), run.metrics()) == ("success", 0, '{"name": "Ada"}\n', {"auc": 0.5})
        packages = run.packages()
        assert packages is not None
        assert packages.installed == ("six==1.17.0",)
        assert (run.files(), run.reason()) == ([], None)
        assert cluster.starts() == [f"{run.id()}-1"]

    def test_fails_with_its_exit_code(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("raise SystemExit(3)"))
        assert (run.status(), run.exit_code()) == ("failure", 3)

    def test_is_packaged_here_and_has_no_folder_of_its_own(self, client: orchlite.Client, folder: MakeFolder) -> None:
        orchestration = client.upload_orchestration(path=folder("print()")).wait()
        assert "Installed in the environment:" in orchestration.task().last_runs()[0].logs()
        run = orchestration.run_once().wait()
        assert sorted(path.name for path in (client.path() / "runs" / run.id() / "1").iterdir()) == ["log", "placed"]

    def test_is_seen_before_its_end(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = _submitted(client, folder(_ENDLESS))
        assert next(run.logs(follow=True)).text == "begun"
        placement = _placement(client, run)
        assert placement is not None
        assert (run.status(), placement.engine, placement.job_id) == ("running", "fake", f"{run.id()}-1")

    def test_is_tried_again_after_a_failure(self, client: orchlite.Client, cluster: FakeCluster, folder: MakeFolder) -> None:
        run = client.run(folder("raise SystemExit(1)"), retries=1, retry_delay=0)
        assert (run.status(), run.try_number()) == ("failure", 2)
        assert len(cluster.starts()) == 2

    def test_is_notified_of(self, open_client: OpenClient, cluster: FakeCluster, folder: MakeFolder, tmp_path: Path, until: Until) -> None:
        notebook = Notebook(tmp_path)
        client = open_client(engine=cluster, on_failure=notebook.command())
        run = client.run(folder("raise SystemExit(1)"))
        until(notebook.lines)
        assert notebook.run_ids() == [run.id()]

    def test_of_a_continuous_task_is_followed_by_the_next(
        self, client: orchlite.Client, cluster: FakeCluster, folder: MakeFolder, until: Until
    ) -> None:
        task = client.upload_orchestration(path=folder("print()")).wait().run_continuously("feed")
        until(lambda: len(cluster.starts()) >= 2)
        task.kill()

    def test_is_never_prepared_before_it_is_submitted(self, open_client: OpenClient, cluster: FakeCluster, folder: MakeFolder) -> None:
        client = open_client(engine=cluster, standby_seconds=60)
        orchestration = client.upload_orchestration(path=folder("print()")).wait()
        for _ in range(3):
            orchestration.run_once().wait()
        assert engine_of(client).context.standbys.begin() is None
        assert len(list((client.path() / "runs").iterdir())) == 4

    def test_of_a_slot_that_was_missed_is_made_up_for(
        self, open_client: OpenClient, cluster: FakeCluster, clock: ManualClock, folder: MakeFolder
    ) -> None:
        client = open_client(engine=cluster, clock=clock)
        task = client.upload_orchestration(path=folder("print()")).wait().run_scheduled("hourly", "0 * * * *", {}, missed="all")
        client.close()
        clock.advance(timedelta(hours=3))
        again = open_client(engine=FakeCluster(cluster.folder), clock=clock).start()
        clock.advance(timedelta(seconds=1))
        runs = [run.wait(20) for run in again.get_task_by_id(task.id()).last_runs()]
        assert [run.status() for run in runs] == ["success"] * 3


class _SetClock(SystemClock):
    """The system's clock, set forward by hand."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


class TestOfSlotsThatOverlap:
    @pytest.fixture
    def task(self, open_client: OpenClient, cluster: FakeCluster, folder: MakeFolder, until: Until) -> Callable[[str], orchlite.Task]:
        def make(concurrency: str) -> orchlite.Task:
            clock = _SetClock()
            client = open_client(engine=cluster, clock=clock, workers=2).start()
            orchestration = client.upload_orchestration(path=folder(_ENDLESS)).wait()
            task = orchestration.run_scheduled("hourly", "0 * * * *", {}, concurrency=concurrency)
            clock.ahead = timedelta(hours=1)
            until(lambda: len(cluster.starts()) == 1)
            clock.ahead = timedelta(hours=2)
            until(lambda: len(task.last_runs()) + len(task.last_runs(status="skipped")) == 2)
            return task

        return make

    def test_the_new_one_is_skipped(self, task: Callable[[str], orchlite.Task], cluster: FakeCluster) -> None:
        [skipped] = task("forbid").last_runs(status="skipped")
        assert skipped.reason()
        assert len(cluster.starts()) == 1

    def test_the_old_one_is_replaced_and_says_so(self, task: Callable[[str], orchlite.Task], cluster: FakeCluster, until: Until) -> None:
        replaced = task("replace")
        until(lambda: len(cluster.starts()) == 2)
        until(lambda: replaced.last_runs(status="killed"))
        [old] = replaced.last_runs(status="killed")
        assert old.reason() == "the next run of its task has replaced it"

    def test_both_run(self, task: Callable[[str], orchlite.Task], cluster: FakeCluster, until: Until) -> None:
        task("allow")
        until(lambda: len(cluster.starts()) == 2)


class TestAKill:
    @pytest.fixture
    def cluster(self, tmp_path: Path) -> Iterator[_Stoppable]:
        cluster = _Stoppable(tmp_path / "cluster")
        yield cluster
        cluster.go_on.set()
        cluster.end_jobs()

    def test_of_a_running_run_ends_it(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = _submitted(client, folder(_ENDLESS))
        next(run.logs(follow=True))
        run.kill()
        assert (run.wait(20).status(), run.reason(), str(run.logs())) == ("killed", _KILLED, "begun\n")

    def test_whose_maker_died_before_it_said_why_ends_it(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = _submitted(client, folder(_ENDLESS))
        next(run.logs(follow=True))
        store = engine_of(client).store
        with store.transaction() as transaction:
            store.runs.request_kill(transaction, run.id())
        assert (run.wait(20).status(), run.reason()) == ("killed", _KILLED)

    def test_by_another_process_without_the_cluster_ends_it(
        self, client: orchlite.Client, open_client: OpenClient, folder: MakeFolder
    ) -> None:
        run = _submitted(client, folder(_ENDLESS))
        next(run.logs(follow=True))
        open_client().get_task_run_by_id(run.id()).kill()
        assert (run.wait(20).status(), run.reason()) == ("killed", _KILLED)

    @pytest.mark.parametrize(
        ("step", "reason", "starts"),
        [
            pytest.param("reserve", _NEVER, 0, id="while its place is reserved"),
            pytest.param("before place", _KILLED, 1, id="before it is placed"),
            pytest.param("after place", _KILLED, 1, id="after it was placed"),
        ],
    )
    @pytest.mark.parametrize("by_another", [False, True], ids=["here", "by another process"])
    def test_ends_the_run(
        self,
        client: orchlite.Client,
        cluster: _Stoppable,
        open_client: OpenClient,
        folder: MakeFolder,
        step: str,
        reason: str,
        starts: int,
        by_another: bool,
    ) -> None:
        cluster.stop_at = step
        run = _submitted(client, folder(_ENDLESS))
        assert cluster.stopped.wait(20)
        (open_client() if by_another else client).get_task_run_by_id(run.id()).kill()
        cluster.go_on.set()
        assert (run.wait(20).status(), run.reason(), len(cluster.starts())) == ("killed", reason, starts)

    def test_is_asked_for_again_until_the_cluster_responds(
        self, client: orchlite.Client, cluster: _Stoppable, folder: MakeFolder, until: Until
    ) -> None:
        run = _submitted(client, folder(_ENDLESS))
        next(run.logs(follow=True))
        cluster.go_down()
        until(lambda: "does not respond" in _reason(client, run))
        run.kill()
        with pytest.raises(orchlite.WaitTimeout):
            run.wait(0.7)
        cluster.come_back()
        assert run.wait(20).status() == "killed"

    def test_while_the_run_goes_back_to_the_queue_ends_it(
        self, client: orchlite.Client, cluster: _Stoppable, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        orchestration = client.upload_orchestration(path=folder(_ENDLESS)).wait()
        cluster.go_down()
        run = orchestration.run_once().last_runs()[0]
        while run.status() != "queued":
            pass
        run.kill()
        assert (run.wait(20).status(), run.reason()) == ("killed", _NEVER)


def test_a_kill_that_the_cluster_does_not_respond_to_keeps_none_from_the_others(
    open_client: OpenClient, tmp_path: Path, folder: MakeFolder
) -> None:
    cluster = Poisoned(tmp_path / "cluster")
    client = open_client(engine=cluster, workers=3)
    orchestration = client.upload_orchestration(path=folder(_ENDLESS)).wait()
    try:
        runs = [orchestration.run_once().last_runs()[0] for _ in range(3)]
        for run in runs:
            next(run.logs(follow=True))
            run.kill()
        statuses = {run.wait(20).status() for run in runs if f"{run.id()}-1" != cluster.starts()[0]}
        assert statuses == {"killed"}
    finally:
        cluster.end_jobs()


def test_a_cluster_of_one_client_is_refused_by_the_next(cluster: FakeCluster, open_client: OpenClient, folder: MakeFolder) -> None:
    open_client(engine=cluster).close()
    with pytest.raises(BadArgument, match="FakeCluster was given to another client"):
        open_client(engine=cluster)
    again = open_client(engine=FakeCluster(cluster.folder))
    assert again.run(folder("print()")).status() == "success"


class TestAClusterThatDoesNotRespond:
    def test_lets_its_runs_wait_in_the_queue_while_packaging_continues(
        self, client: orchlite.Client, cluster: FakeCluster, folder: MakeFolder, until: Until
    ) -> None:
        orchestration = client.upload_orchestration(path=folder("print('done')")).wait()
        cluster.go_down()
        runs = [orchestration.run_once().last_runs()[0] for _ in range(3)]
        until(lambda: any("does not respond" in (event.reason() or "") for event in client.events()))
        until(lambda: {run.status() for run in runs} == {RunStatus.QUEUED})
        assert any("could not be placed for the moment: The cluster does not respond." in str(run.reason()) for run in runs)
        client.upload_orchestration(path=folder("print('other')")).wait(20)
        cluster.come_back()
        assert [str(run.wait(20).logs()) for run in runs] == ["done\n"] * 3
        assert [run.reason() for run in runs] == [None] * 3
        tries = [event for event in client.events() if "does not respond" in (event.reason() or "")]
        assert len(tries) <= 4, "only one of them is tried at a time"

    def test_leaves_a_run_running_and_says_so_until_it_responds(
        self, client: orchlite.Client, cluster: FakeCluster, folder: MakeFolder, gate: Path, waiting_program: str, until: Until
    ) -> None:
        run = _submitted(client, folder(waiting_program))
        next(run.logs(follow=True))
        cluster.go_down()
        until(run.reason)
        assert (run.status(), run.reason()) == ("running", "The cluster does not respond. Its program may still be running.")
        gate.touch()
        cluster.come_back()
        assert (run.wait(20).status(), run.reason(), str(run.logs())) == ("success", None, "begun\ndone\n")
        assert [event.became() for event in client.events() if event.object_id() == run.id()][-2:] == ["reported", "success"]

    def test_says_no_more_once_it_responds(self, client: orchlite.Client, cluster: FakeCluster, folder: MakeFolder, until: Until) -> None:
        run = _submitted(client, folder(_ENDLESS))
        next(run.logs(follow=True))
        cluster.go_down()
        until(run.reason)
        cluster.come_back()
        until(lambda: run.reason() is None)
        assert run.status() == "running"

    @pytest.mark.parametrize("gets_them", [True, False])
    def test_when_a_run_is_placed_starts_it_once(
        self, open_client: OpenClient, tmp_path: Path, folder: MakeFolder, gets_them: bool
    ) -> None:
        cluster = _Unsure(tmp_path / "cluster")
        cluster.gets_them = gets_them
        run = open_client(engine=cluster).run(folder("print('done')"))
        assert (run.status(), str(run.logs()), run.reason()) == ("success", "done\n", None)
        assert cluster.starts() == [f"{run.id()}-1"]


class TestAClusterThatFails:
    def test_the_run_with_the_reason_and_the_way_out_if_it_refuses(
        self, client: orchlite.Client, cluster: FakeCluster, folder: MakeFolder
    ) -> None:
        cluster.refuse()
        run = client.run(folder("print()"))
        assert run.status() == "failure"
        assert run.reason() == "it could not be started: The cluster accepts no client without a token. Set FAKE_TOKEN."
        assert _placement(client, run) is None

    def test_leaves_its_runs_unknown_when_it_was_started_again(
        self, client: orchlite.Client, cluster: FakeCluster, folder: MakeFolder
    ) -> None:
        run = _submitted(client, folder(_ENDLESS))
        next(run.logs(follow=True))
        cluster.restart()
        assert (run.wait(20).status(), str(run.logs())) == ("unknown", "begun\n")
        assert "may still be running" in str(run.reason())
        assert len(cluster.starts()) == 1

    def test_leaves_a_run_unknown_that_it_has_forgotten(self, client: orchlite.Client, cluster: FakeCluster, folder: MakeFolder) -> None:
        run = _submitted(client, folder(_ENDLESS))
        next(run.logs(follow=True))
        cluster.lose(f"{run.id()}-1")
        assert (run.wait(20).status(), run.reason()) == ("unknown", "the cluster does not know it any more, so its outcome is not known")
        assert len(cluster.starts()) == 1


class TestAHostWithACluster:
    def test_has_as_many_runs_there_as_it_has_workers(
        self, open_client: OpenClient, cluster: FakeCluster, folder: MakeFolder, until: Until
    ) -> None:
        client = open_client(engine=cluster, workers=2)
        orchestration = client.upload_orchestration(path=folder(_ENDLESS)).wait()
        runs = [orchestration.run_once().last_runs()[0] for _ in range(3)]
        until(lambda: len(cluster.starts()) == 2)
        assert [run.status() for run in runs] == ["running", "running", "queued"]

    def test_has_as_many_as_the_cluster_allows_while_packaging_takes_a_worker_each(
        self, open_client: OpenClient, tmp_path: Path, folder: MakeFolder, until: Until
    ) -> None:
        cluster = FakeCluster(tmp_path / "cluster", max_runs=4)
        client = open_client(engine=cluster, workers=1)
        orchestration = client.upload_orchestration(path=folder(_ENDLESS)).wait()
        for _ in range(5):
            orchestration.run_once()
        until(lambda: len(cluster.starts()) == 4)
        cluster.end_jobs()
        others = [client.upload_orchestration(path=folder(f"print({number})")) for number in range(3)]
        assert [str(other.wait(20).status()) for other in others] == ["ready"] * 3
        cluster.end_jobs()

    def test_packages_one_bundle_at_a_time_with_one_worker(self, open_client: OpenClient, tmp_path: Path, folder: MakeFolder) -> None:
        client = open_client(engine=FakeCluster(tmp_path / "cluster", max_runs=4), workers=1)
        orchestrations = [client.upload_orchestration(path=folder(f"print({number})")) for number in range(4)]
        for orchestration in orchestrations:
            orchestration.wait(20)
        running = 0
        packaging = {run.id() for each in orchestrations for run in each.task().last_runs()}
        for event in client.events():
            if event.object_id() in packaging:
                running += {"running": 1, "success": -1}.get(event.became(), 0)
                assert running <= 1

    def test_leaves_its_runs_to_the_next_one_when_it_closes(
        self, open_client: OpenClient, cluster: FakeCluster, folder: MakeFolder, gate: Path, waiting_program: str
    ) -> None:
        client = open_client(engine=cluster)
        run = _submitted(client, folder(waiting_program))
        next(run.logs(follow=True))
        client.close(drain=False)
        gate.touch()
        again = open_client(engine=FakeCluster(cluster.folder)).get_task_run_by_id(run.id()).wait(20)
        assert (again.status(), str(again.logs())) == ("success", "begun\ndone\n")
        assert len(cluster.starts()) == 1

    def test_waits_for_its_runs_when_it_closes_after_all_was_submitted(
        self, tmp_path: Path, cluster: FakeCluster, folder: MakeFolder, open_client: OpenClient
    ) -> None:
        client = open_client(engine=cluster)
        run = _submitted(client, folder("import time\ntime.sleep(0.3)\nprint('done')"))
        client.close()
        assert open_client().get_task_run_by_id(run.id()).status() == "success"

    def test_with_a_temporary_store_kills_its_runs(self, cluster: FakeCluster, folder: MakeFolder) -> None:
        client = orchlite.Client.temporary(engine=cluster, grace_seconds=0.5)
        run = _submitted(client, folder(_ENDLESS))
        next(run.logs(follow=True))
        client.close()
        assert not client.path().exists()
        [job] = (cluster.folder / "jobs").iterdir()
        assert json.loads((job / "result").read_text())["status"] == "killed"


class TestTheArgumentEngine:
    def test_takes_what_process_took(self, clock: ManualClock, smallest_bundle: bytes) -> None:
        with orchlite.Client.temporary(clock=clock, engine=StubProcess("failure", 90)) as client:
            task = client.upload_orchestration(smallest_bundle).run_once()
            clock.advance(timedelta(seconds=90))
            assert task.last_runs()[0].status() == "failure"

    def test_is_not_given_twice(self, clock: ManualClock) -> None:
        with pytest.raises(BadArgument, match="former name"):
            orchlite.Client.temporary(clock=clock, engine=StubProcess(), process=StubProcess())

    def test_is_named_when_it_simulates_without_a_clock(self) -> None:
        with pytest.raises(BadArgument) as caught:
            orchlite.Client.temporary(engine=StubProcess())
        assert caught.value.details["argument"] == "engine"
