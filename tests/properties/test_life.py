"""A store's whole life against a dictionary: random steps, after each of which the store says what the model says.

The store is a real one on disk. Clock and process are those that `orchlite.testing` offers, so that the model knows how each run ends.
"""

from __future__ import annotations

import copy
import io
import operator
import os
import shutil
import signal
import sqlite3
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import orchlite
from orchlite.core.status import OrchestrationStatus, RunStatus, Status, TaskStatus, targets_of
from orchlite.environments.environments import Environments
from orchlite.testing import ManualClock, StubProcess, StubRun
from tests.properties.life_model import START, Facts, Model, Run, Task

KINDS: dict[str, Callable[[str], Status]] = {"orchestration": OrchestrationStatus, "task": TaskStatus, "run": RunStatus}
NAMES = st.sampled_from(["amber", "blue", "coral"])
PLACES = st.sampled_from([1, 2, 20])
ANY = st.integers(0, 99)
"""Chooses one of what there is."""
OUTCOMES = st.tuples(st.sampled_from(["success", "failure", "unknown"]), st.sampled_from([0, 20, 90, 4000, 20_000]))
LONG_OUTCOMES = st.tuples(st.sampled_from(["success", "failure"]), st.sampled_from([45, 700, 4000]))
CONCURRENCY = st.sampled_from(["allow", "forbid", "replace"])
MISSED = st.sampled_from(["latest", "all", "none"])
TIMES = st.timedeltas(timedelta(0), timedelta(hours=5)).map(lambda time: timedelta(seconds=time // timedelta(seconds=1)))
RETRIES = st.sampled_from([(0, timedelta(0)), (1, timedelta(0)), (2, timedelta(minutes=5)), (1, timedelta(hours=2))])
"""How often a failed run is tried again, and after what time."""
AGES = st.sampled_from([timedelta(seconds=1), timedelta(minutes=40), timedelta(hours=4)])


@cache
def bundle(number: int) -> bytes:
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("main.py", f"print({number})\n")
    return content.getvalue()


def outcome(run: StubRun) -> tuple[str, float]:
    return run.arguments["end"], run.arguments["seconds"]


@contextmanager
def refused(*, when: bool, by: type[orchlite.OrchliteError] = orchlite.IllegalMove) -> Iterator[None]:
    """The block raises exactly then."""
    try:
        yield
    except by:
        assert when, "it was refused"
    else:
        assert not when, "it was not refused"


class Life(RuleBasedStateMachine):
    """One store, from its first opening on."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="orchlite-life-"))
        self.clock = ManualClock(START)
        self.stub = StubProcess(outcome)
        self.model = Model()
        self.copies = self.schedules = 0
        self.store = self.folder / "store"
        self.workspace = "default"
        self.seen: dict[str, str] = {}
        """The last status that the events told of each thing."""
        self.last_event = 0
        self.client = self.opened(self.store, 1)

    def opened(self, store: Path, places: int) -> orchlite.Client:
        cache = Environments(self.folder / "cache")
        return orchlite.Client(store, workers=places, clock=self.clock, process=self.stub, environment=cache)

    def teardown(self) -> None:
        self.client.close(drain=False)
        with closing(sqlite3.connect(self.store / "store.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        shutil.rmtree(self.folder)

    # What is there to choose from

    def orchestration(self, number: int) -> orchlite.Orchestration:
        return self.client.get_orchestration_by_id(list(self.model.orchestrations)[number % len(self.model.orchestrations)])

    def task(self, number: int) -> tuple[orchlite.Task, Task]:
        task_id = list(self.model.tasks)[number % len(self.model.tasks)]
        return self.client.get_task_by_id(task_id), self.model.tasks[task_id]

    def settle(self) -> None:
        """What is due now happens when the clock is asked to go on, if only by nothing."""
        self.clock.advance(seconds=0)
        self.model.pass_time(timedelta(0))

    # Orchestrations and their tasks

    @initialize(how=OUTCOMES, places=PLACES, concurrency=CONCURRENCY, missed=MISSED)
    def begin(self, how: tuple[str, float], places: int, concurrency: str, missed: str) -> None:
        """Something of each kind is there, whatever rules follow."""
        self.reopen(places, timedelta(0), drain=True, is_same=True)
        self.upload(0)
        self.run_scheduled(0, how, concurrency, missed, None, (1, timedelta(minutes=5)))
        self.run_continuously(0, ("failure", 700))
        self.run_once(0, how, None, (0, timedelta(0)))

    @rule(number=st.integers(0, 2))
    def upload(self, number: int) -> None:
        orchestration = self.client.upload_orchestration(bundle(number)).wait(10)
        self.model.orchestrations[orchestration.id()] = (self.workspace, orchestration.sha(), self.model.now)

    @precondition(lambda self: len(self.model.orchestrations) > 1)
    @rule(number=ANY)
    def delete(self, number: int) -> None:
        orchestration = self.orchestration(number)
        with refused(when=self.model.is_alive(orchestration.id()), by=orchlite.Conflict):
            orchestration.delete()
            self.model.delete(orchestration.id())

    @rule(number=ANY, how=OUTCOMES, timeout=st.sampled_from([None, 30]), retry=RETRIES)
    def run_once(self, number: int, how: tuple[str, float], timeout: float | None, retry: tuple[int, timedelta]) -> None:
        orchestration = self.orchestration(number)
        task = orchestration.run_once(json_args={"end": how[0], "seconds": how[1]}, timeout=timeout, **retries(retry))
        self.model.add(task.id(), Task("once", orchestration.id(), *how, timeout=timeout, retries=retry[0], delay=retry[1]))
        self.settle()

    @rule(number=ANY, how=LONG_OUTCOMES)
    def run_continuously(self, number: int, how: tuple[str, float]) -> None:
        orchestration = self.orchestration(number)
        task = orchestration.run_continuously("on and on", {"end": how[0], "seconds": how[1]})
        self.model.add(task.id(), Task("continuous", orchestration.id(), *how))
        self.settle()

    @rule(number=ANY, how=OUTCOMES, concurrency=CONCURRENCY, missed=MISSED, deadline=st.sampled_from([None, 600, 9000]), retry=RETRIES)
    def run_scheduled(
        self, number: int, how: tuple[str, float], concurrency: str, missed: str, deadline: float | None, retry: tuple[int, timedelta]
    ) -> None:
        orchestration = self.orchestration(number)
        self.schedules += 7
        task = orchestration.run_scheduled(
            "hourly",
            f"{self.schedules % 60} * * * *",
            {"end": how[0], "seconds": how[1]},
            concurrency=concurrency,
            missed=missed,
            starting_deadline_seconds=deadline,
            **retries(retry),
        )
        known = Task("scheduled", orchestration.id(), *how, concurrency=concurrency, missed=missed, deadline=deadline)
        known.retries, known.delay = retry
        self.model.add(task.id(), known, self.schedules % 60)
        self.settle()

    @precondition(lambda self: self.model.tasks)
    @rule(number=ANY, by=ANY, how=LONG_OUTCOMES, is_rescheduled=st.booleans())
    def replace(self, number: int, by: int, how: tuple[str, float], is_rescheduled: bool) -> None:
        (task, known), orchestration = self.task(number), self.orchestration(by)
        schedule, minute = None, known.minute
        if known.kind == "scheduled" and is_rescheduled:
            self.schedules += 7
            minute = self.schedules % 60
            schedule = f"{minute} * * * *"
        is_here = self.model.orchestrations[orchestration.id()][0] == self.model.orchestrations[known.orchestration_id][0]
        may_be_replaced = is_here and known.kind != "once" and known.status != "killed"
        with refused(when=not may_be_replaced, by=orchlite.Conflict):
            task.replace(orchestration, json_args={"end": how[0], "seconds": how[1]}, schedule=schedule)
        if may_be_replaced:
            self.model.replace(known, orchestration.id(), how, minute)
        self.settle()

    @precondition(lambda self: self.model.tasks)
    @rule(number=ANY)
    def kill(self, number: int) -> None:
        task, known = self.task(number)
        self.model.kill(known)
        assert task.kill() == "killed"
        self.settle()

    @precondition(lambda self: self.model.tasks)
    @rule(number=ANY)
    def pause(self, number: int) -> None:
        task, known = self.task(number)
        may_be_paused = known.kind != "once" and known.status != "killed"
        with refused(when=not may_be_paused):
            assert task.pause() == "paused"
        if may_be_paused and known.status != "paused":
            self.model.pause(known)
        self.settle()

    @precondition(lambda self: self.model.tasks)
    @rule(number=ANY)
    def resume(self, number: int) -> None:
        task, known = self.task(number)
        may_be_resumed = known.kind != "once" and known.status in ("started", "paused")
        with refused(when=not may_be_resumed):
            assert task.resume() == "started"
        if known.status == "paused":
            self.model.resume(known)
        self.settle()

    @precondition(lambda self: self.model.tasks)
    @rule(number=ANY)
    def trigger(self, number: int) -> None:
        task, known = self.task(number)
        if known.kind != "scheduled" or known.status == "killed":
            with refused(when=True):
                task.run_now()
        else:
            with refused(when=not self.model.trigger(known), by=orchlite.Conflict):
                task.run_now()
        self.settle()

    @precondition(lambda self: any(task.runs for task in self.model.tasks.values()))
    @rule(number=ANY)
    def rerun(self, number: int) -> None:
        run, known, known_run = self.run(number)
        again = run.rerun()
        assert again.rerun_of() == run.id()
        orchestration_id, how = known_run.orchestration_id or known.orchestration_id, known_run.how or (known.end, known.seconds)
        task = Task("once", orchestration_id, *how, timeout=known.timeout, retries=known.retries, delay=known.delay)
        self.model.add(again.task(), task)
        self.settle()

    def run(self, number: int) -> tuple[orchlite.TaskRun, Task, Run]:
        """One of all runs; where several are alike, any of these."""
        runs = [(task_id, task, run) for task_id, task in self.model.tasks.items() for run in task.runs]
        task_id, known, known_run = runs[number % len(runs)]
        listed = self.client.get_task_by_id(task_id).last_runs()[::-1]
        alike = [run for run in listed if facts(run) == known_run.facts and run.not_before() == known_run.not_before]
        same = [run for run in known.runs if run.facts == known_run.facts and run.not_before == known_run.not_before]
        return alike[same.index(known_run)], known, known_run

    @precondition(lambda self: any(task.runs for task in self.model.tasks.values()))
    @rule(number=ANY)
    def kill_run(self, number: int) -> None:
        run, known, known_run = self.run(number)
        with refused(when=known_run.ended_at is not None):
            assert run.kill() == "killed"
        if known_run.ended_at is None:
            self.model.kill_run(known, known_run)
        self.settle()

    @precondition(lambda self: self.model.tasks)
    @rule(number=ANY)
    def wait(self, number: int) -> None:
        task, known = self.task(number)
        must_wait = bool(known.unfinished) or not known.runs
        with refused(when=must_wait, by=orchlite.WaitTimeout):
            assert facts(task.wait(0.001)) == known.runs[-1].facts

    # How time passes

    @rule(by=TIMES)
    def advance(self, by: timedelta) -> None:
        self.clock.advance(seconds=by.total_seconds())
        self.model.pass_time(by)

    @rule(by=TIMES | TIMES.map(operator.neg))
    def jump(self, by: timedelta) -> None:
        """The clock is corrected, or the machine has slept."""
        self.clock.set(self.clock.now() + by)
        self.model.now += by
        self.settle()

    @rule(places=PLACES, away=TIMES, drain=st.booleans(), is_same=st.booleans())
    def reopen(self, places: int, away: timedelta, drain: bool, is_same: bool) -> None:
        """The runs that go on do so, also where there are fewer places than before."""
        self.client.close(drain)
        self.clock.advance(seconds=away.total_seconds())
        self.stub = self.stub if is_same else StubProcess(outcome)
        self.client, self.workspace = self.opened(self.store, places), "default"
        self.model.now += away
        self.model.places = places
        self.settle()

    # Workspaces and connections

    @rule(name=NAMES, is_new=st.booleans())
    def enter_workspace(self, name: str, is_new: bool) -> None:
        is_known = name in self.model.workspaces
        with refused(when=is_known == is_new, by=orchlite.Conflict if is_new else orchlite.NotFound):
            found = self.client.create_workspace(name) if is_new else self.client.get_workspace(name)
            self.workspace = self.client.set_current_workspace(found).name()
            self.model.workspaces.setdefault(name, set())

    @rule(name=NAMES, value=st.integers())
    def create_connection(self, name: str, value: int) -> None:
        with refused(when=name in self.model.connections, by=orchlite.Conflict):
            self.client.create_connection(name, "number", {"value": value})
        self.model.connections.setdefault(name, {"value": value})

    @rule(name=NAMES, is_deleted=st.booleans())
    def list_or_delete_connection(self, name: str, is_deleted: bool) -> None:
        with refused(when=name not in self.model.connections, by=orchlite.NotFound):
            if is_deleted:
                self.client.get_connection(name).delete_connection()
                self.model.delete_connection(name)
            else:
                self.client.get_current_workspace().add_connection(name)
                self.model.workspaces[self.workspace].add(name)

    # What is done with the whole store

    @precondition(lambda self: self.model.tasks)
    @rule(age=AGES)
    def prune(self, age: timedelta) -> None:
        would = self.client.prune(age, dry_run=True)
        assert self.client.check() == []
        self.compare()
        pruned = self.client.prune(age)
        assert pruned == would._replace(dry_run=False)
        assert (pruned.runs, pruned.tasks) == self.model.prune(age)

    @precondition(lambda self: self.model.tasks)
    @rule(goes_on=st.booleans(), places=PLACES)
    def back_up_and_restore(self, goes_on: bool, places: int) -> None:
        self.copies += 1
        backup, restored = self.folder / f"backup-{self.copies}", self.folder / f"restored-{self.copies}"
        self.client.backup(backup)
        orchlite.Client.restore(backup, restored)
        left = self.client, self.model, self.store, self.workspace
        self.client, self.model, self.store, self.workspace = self.opened(restored, places), copy.deepcopy(self.model), restored, "default"
        self.model.restore()
        self.model.places = places
        self.compare()
        self.settle()
        if not goes_on:
            self.compare()
            (self.client, self.model, self.store, self.workspace), left = left, (self.client, self.model, self.store, self.workspace)
        left[0].close(drain=False)

    @precondition(lambda self: self.model.tasks)
    @rule()
    def fork(self) -> None:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # from Python 3.12 on: there are other threads
            child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(self.in_child())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def in_child(self) -> int:
        """The parent's client is of no use here, and one of its own sees what the parent's does."""
        try:
            with refused(when=True, by=orchlite.Closed):
                self.client.list_tasks()
            self.clock = ManualClock(self.clock.now())
            self.client = self.opened(self.store, 1)
            self.client.set_current_workspace(self.client.get_workspace(self.workspace))
            self.compare()
            self.client.close()
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    # What holds after every step

    @invariant()
    def is_as_known(self) -> None:
        self.compare()

    @invariant()
    def is_whole(self) -> None:
        assert self.client.check() == []
        shas = {sha for _, sha, _ in self.model.orchestrations.values()}
        assert {path.stem for path in (self.store / "bundles").iterdir()} == shas

    @invariant()
    def tells_of_legal_moves_only(self) -> None:
        events = self.client.events(after=self.last_event)
        for event in events:
            self.last_event = event.id()
            if event.kind() in KINDS:
                self.check_move(event)
        for task in self.client.list_tasks(killed=True) if events else ():
            assert self.seen[task.id()] == task.status()
            runs = [*task.last_runs(), *task.last_runs(status="skipped")]
            assert [self.seen[run.id()] for run in runs] == [run.status() for run in runs]

    def check_move(self, event: orchlite.Event) -> None:
        if event.became() == "given_back":  # a slot that a wrong clock skipped has no row any more
            assert self.seen.pop(event.object_id()) == event.was() == "skipped"
            return
        if event.became() == "replaced":  # its status stays
            assert self.seen[event.object_id()] == event.was()
            return
        was, became = event.was(), KINDS[event.kind()](event.became())
        assert self.seen.get(event.object_id()) == was, event
        assert was is None or became in targets_of(KINDS[event.kind()](was)), event
        self.seen[event.object_id()] = became

    def compare(self) -> None:
        model, client = self.model, self.client
        for task_id, known in model.tasks.items():
            self.compare_task(client.get_task_by_id(task_id), known)
        assert [one.id() for one in client.list_orchestrations()] == model.orchestrations_in(self.workspace)
        tasks = client.list_tasks(killed=True)
        assert sorted(task.id() for task in tasks) == sorted(model.tasks_in(self.workspace))
        assert is_newest_first(task.updated_at() for task in tasks)
        assert {one.name(): one.details() for one in client.list_connections()} == model.connections
        assert [one.name() for one in client.list_workspaces()] == list(model.workspaces)
        listed = {one.name(): {connection.name() for connection in one.list_connections()} for one in client.list_workspaces()}
        assert listed == model.workspaces

    def compare_task(self, task: orchlite.Task, known: Task) -> None:
        assert task.status() == known.status, task
        assert task.orchestration() == known.orchestration_id
        runs = task.last_runs()
        ran = Counter((facts(run), run.orchestration()) for run in runs)
        assert ran == Counter((run.facts, run.orchestration_id or known.orchestration_id) for run in known.runs)
        assert is_newest_first(at for run in runs if (at := run.ended_at()))
        skipped = task.last_runs(status="skipped")
        assert sorted(run.scheduled_at() or START for run in skipped) == sorted(known.skipped)
        assert task.missed() == len(known.skipped)
        if known.kind == "scheduled" and known.status == "started":
            assert task.next_run_at() == known.next_at


def is_newest_first(moments: Iterable[datetime]) -> bool:
    known = list(moments)
    return known == sorted(known, reverse=True)


def retries(retry: tuple[int, timedelta]) -> dict[str, Any]:
    return {"retries": retry[0], "retry_delay": retry[1]} if retry[0] else {}


def facts(run: orchlite.TaskRun) -> Facts:
    return run.status(), run.try_number(), run.scheduled_at(), run.ended_at(), run.exit_code(), run.duration()


def live(examples: int, steps: int) -> None:
    ways = settings(max_examples=examples, stateful_step_count=steps, derandomize=True, deadline=None, suppress_health_check=[*HealthCheck])
    run_state_machine_as_test(Life, settings=ways)


def test_a_store_is_at_every_step_what_a_dictionary_is() -> None:
    live(4, 25)


def test_a_task_without_end_begins_although_its_first_run_was_killed_in_the_queue() -> None:
    life = Life()
    life.upload(0)
    life.run_once(0, ("success", 90), None, (0, timedelta(0)))
    life.run_continuously(0, ("success", 700))
    for step in (partial(life.kill_run, 1), partial(life.advance, timedelta(hours=1))):
        step()
        life.compare()
    life.teardown()


@pytest.mark.slow
def test_a_store_is_over_a_long_life_what_a_dictionary_is() -> None:
    live(15, 40)
