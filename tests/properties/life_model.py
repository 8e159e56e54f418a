"""What a store should hold after anything that can be done with it: the dictionary that the store's life is compared with.

It shares nothing with the library, and it is the slow and plain way: slots are counted hour by hour, lists are walked through. All of its
schedules are hourly, each at a minute of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2051, 1, 1, tzinfo=UTC)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
UNFINISHED, ACTIVE = ("queued", "running"), ("started", "crash_loop")

Facts = tuple[str, int, datetime | None, datetime | None, int | None, float | None]


@dataclass(eq=False)
class Run:
    slot: datetime | None = None
    status: str = "queued"
    began_at: datetime | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    seconds: float | None = None
    end: str = ""
    """How it will end, once it has begun."""
    orchestration_id: str | None = None
    """What it ran before its task was replaced."""
    how: tuple[str, float] | None = None
    """How it was to end, and when, before its task was replaced."""
    tries: Run | None = None
    """The failed run that this one tries again."""
    number: int = 1
    not_before: datetime | None = None

    @property
    def is_pending_try(self) -> bool:
        return self.tries is not None and self.status == "queued"

    @property
    def facts(self) -> Facts:
        return self.status, self.number, self.slot, self.ended_at, self.exit_code, self.seconds

    @property
    def was_steady(self) -> bool:
        return self.seconds is not None and self.seconds >= 60


@dataclass(eq=False)
class Task:
    kind: str
    orchestration_id: str
    end: str
    seconds: float
    timeout: float | None = None
    status: str = "pending"
    next_at: datetime | None = None
    concurrency: str = "allow"
    missed: str = "latest"
    deadline: float | None = None
    retries: int = 0
    delay: timedelta = timedelta(0)
    runs: list[Run] = field(default_factory=list)
    skipped: dict[datetime, datetime] = field(default_factory=dict)
    """Slots that have no run, and when that was decided."""
    added_at: datetime = START
    moved_at: datetime = START
    minute: int = 0
    """Of its slots."""
    pruned_until: datetime = LONG_AGO
    """Slots up to here may have had runs that nobody remembers."""

    @property
    def known_slots(self) -> set[datetime]:
        return {run.slot for run in self.runs if run.slot} | set(self.skipped)

    @property
    def unfinished(self) -> list[Run]:
        return [run for run in self.runs if run.status in UNFINISHED]

    def is_overtaken(self, run: Run) -> bool:
        """Whether another run has come since the first try that is remembered."""
        first = run
        while first.tries is not None and first.tries in self.runs:
            first = first.tries
        return any(later.tries is None for later in self.runs[self.runs.index(first) + 1 :])

    def is_ahead(self, slot: datetime | None) -> bool:
        """Whether the clock was set back since the slot was dealt with, so that it is to come once more."""
        return slot is not None and self.next_at is not None and slot >= self.next_at and self.status != "killed"

    def is_too_late(self, slot: datetime, now: datetime) -> bool:
        return self.deadline is not None and now - slot > timedelta(seconds=self.deadline)


class Model:
    """What a store should hold."""

    def __init__(self) -> None:
        self.now = START
        self.places = 1
        self.orchestrations: dict[str, tuple[str, str, datetime]] = {}
        """Their workspace, their SHA, and when they came."""
        self.tasks: dict[str, Task] = {}
        self.queue: list[tuple[Task, Run]] = []
        """All runs that have not ended, oldest first."""
        self.workspaces: dict[str, set[str]] = {"default": set()}
        """And the connections that each lists."""
        self.connections: dict[str, dict[str, int]] = {}

    # What tasks do

    def add(self, task_id: str, task: Task, minute: int = 0) -> None:
        self.tasks[task_id] = task
        task.added_at = task.moved_at = self.now
        if task.kind == "scheduled":
            task.minute = minute
            self._plan_slots(task)
            self._move(task, "started")
        else:
            self._enqueue(task)

    def replace(self, task: Task, orchestration_id: str, how: tuple[str, float], minute: int) -> None:
        if (task.orchestration_id, task.end, task.seconds, task.minute) == (orchestration_id, *how, minute):
            return
        for run in task.runs:
            if run.status != "queued":
                run.orchestration_id = run.orchestration_id or task.orchestration_id
                run.how = run.how or (task.end, task.seconds)
        if minute != task.minute:
            if task.status == "paused":
                self._pass_over(task)
            task.minute = minute
            self._plan_slots(task)
        task.orchestration_id, (task.end, task.seconds) = orchestration_id, how
        self._move(task, "started" if task.status == "pending" else task.status)

    def _plan_slots(self, task: Task) -> None:
        slot = self.now.replace(minute=task.minute, second=0, microsecond=0)
        while slot <= self.now or slot in task.known_slots:
            slot += HOUR
        task.next_at = slot

    def kill(self, task: Task) -> None:
        if task.status != "killed":
            self._move(task, "killed")
        for run in task.unfinished:
            self.end(task, run, "killed")

    def pause(self, task: Task) -> None:
        self._move(task, "paused")
        for run in task.unfinished if task.kind == "continuous" else ():
            self.end(task, run, "killed")

    def resume(self, task: Task) -> None:
        self._move(task, "started")
        if task.kind == "continuous":
            task.next_at = self.now
        else:
            self._pass_over(task)

    def _pass_over(self, task: Task) -> None:
        _, slots = self._take_slots(task)
        self._skip(task, slots)
        self._give_back(task)
        self._bring_forward(task)

    def kill_run(self, task: Task, run: Run) -> None:
        if task.status == "pending":
            self._move(task, "failed" if task.kind == "once" else "started")
        self.end(task, run, "killed")

    def end(self, task: Task, run: Run, status: str, at: datetime | None = None) -> None:
        """A run that had its end while nobody looked, had it at its time; what follows from it, follows now."""
        run.status, run.ended_at = status, max(at or self.now, run.began_at or self.now)
        run.seconds = (run.ended_at - run.began_at).total_seconds() if run.began_at else None
        run.exit_code = {"success": 0, "failure": 1}.get(status)
        self.queue.remove((task, run))
        if task.kind == "continuous" and task.status in ACTIVE:
            self._plan_again(task)
        if not self._try_again(task, run) and task.kind == "once" and task.status == "started" and status == "timed_out":
            self._move(task, "timed_out")

    def _try_again(self, task: Task, run: Run) -> bool:
        if run.status not in ("failure", "timed_out") or run.number > task.retries or task.status == "killed" or task.is_overtaken(run):
            return False
        self._enqueue(task)
        following = task.runs[-1]
        following.tries, following.number, following.not_before = run, run.number + 1, self.now + task.delay
        return True

    def trigger(self, task: Task) -> bool:
        """Whether it may run now, outside its slots; then it does."""
        if task.concurrency == "forbid" and any(not run.is_pending_try and not self._is_late(task, run) for run in task.unfinished):
            return False
        self._skip_late(task)
        self._give_way(task)
        self._enqueue(task)
        return True

    def _give_way(self, task: Task) -> None:
        """What ends where a new run of the task comes."""
        for run in task.unfinished:
            if run.is_pending_try or task.concurrency == "replace":
                self.end(task, run, "killed")

    def _plan_again(self, task: Task) -> None:
        newest = task.runs[::-1]
        short = next((count for count, run in enumerate(newest) if run.was_steady), len(newest))
        task.next_at = self.now + timedelta(seconds=min(2 ** min(max(0, short - 1), 6), 60))
        crashed = [run for run in newest[:5] if run.status in ("failure", "timed_out", "unknown") and self._is_recent(run)]
        if task.status == "started" and len(crashed) == 5:
            self._move(task, "crash_loop")
        elif task.status == "crash_loop" and (newest[0].status == "success" or newest[0].was_steady):
            self._move(task, "started")

    def _is_recent(self, run: Run) -> bool:
        return run.ended_at is not None and self.now - run.ended_at <= 10 * MINUTE

    def _move(self, task: Task, status: str) -> None:
        task.status, task.moved_at = status, self.now

    def _enqueue(self, task: Task, slot: datetime | None = None) -> None:
        task.runs.append(Run(slot))
        self.queue.append((task, task.runs[-1]))

    # How time passes

    def pass_time(self, by: timedelta) -> None:
        until = self.now + by
        self._follow_clock_back()
        self.settle()
        while (at := self._next_at()) is not None and at <= until:
            self.now = max(at, self.now)
            if any(run.ends_at and run.ends_at <= self.now for _, run in self.queue):
                self.settle()
            self._dispatch()
            self.settle()
        self.now = until

    def _follow_clock_back(self) -> None:
        """The clock may have been set back; no pause is longer than a minute by it, and no slot waits that was not dealt with."""
        for task, run in self.queue:
            if run.is_pending_try and run.not_before is not None:
                run.not_before = min(run.not_before, self.now + task.delay)
        for task in self.tasks.values():
            if task.kind == "continuous" and task.next_at and task.status in ACTIVE:
                task.next_at = min(task.next_at, self.now + timedelta(seconds=60))
            elif task.status in ACTIVE:
                self._give_back(task)
                self._bring_forward(task)

    def _give_back(self, task: Task) -> None:
        """What was only skipped, by a clock that was ahead, comes once more."""
        for slot in [slot for slot in task.skipped if slot > self.now]:
            del task.skipped[slot]

    def _bring_forward(self, task: Task) -> None:
        slot = task.next_at
        while slot and slot > max(self.now, task.pruned_until):
            if slot not in task.known_slots:
                task.next_at = slot
            slot -= HOUR

    def settle(self) -> None:
        while self._end_one() or self._begin_one():
            pass

    def _next_at(self) -> datetime | None:
        due = [task.next_at for task in self.tasks.values() if task.next_at and task.status in ACTIVE]
        tries = [run.not_before for task, run in self.queue if run.is_pending_try and run.not_before and task.status != "paused"]
        return min([*due, *(at for at in tries if at > self.now), *(run.ends_at for _, run in self.queue if run.ends_at)], default=None)

    def _end_one(self) -> bool:
        over = [
            (run.ends_at, run.began_at, number) for number, (_, run) in enumerate(self.queue) if run.ends_at and run.ends_at <= self.now
        ]
        if not over:
            return False
        task, run = self.queue[min(over)[-1]]
        self.end(task, run, run.end, run.ends_at)
        return True

    def _begin_one(self) -> bool:
        running = [task for task, run in self.queue if run.status == "running"]
        queued = (one for one in self.queue if one[1].status == "queued" and not self._must_wait(*one))
        may_begin = (one for one in queued if not (one[0].concurrency == "replace" and one[0] in running))
        if len(running) >= self.places or (found := next(may_begin, None)) is None:
            return False
        task, run = found
        if run.slot is not None and task.is_too_late(run.slot, self.now):
            self.queue.remove(found)
            task.runs.remove(run)
            self._skip(task, [run.slot])
            return True
        if task.status == "pending":
            self._move(task, "started")
        seconds = min(task.seconds, task.seconds if task.timeout is None else task.timeout)
        run.status, run.began_at, run.ends_at = "running", self.now, self.now + timedelta(seconds=seconds)
        run.end = task.end if seconds == task.seconds else "timed_out"
        return True

    def _must_wait(self, task: Task, run: Run) -> bool:
        return run.not_before is not None and (run.not_before > self.now or task.status == "paused")

    def _dispatch(self) -> None:
        due = [task for task in self.tasks.values() if task.next_at and task.next_at <= self.now and task.status in ACTIVE]
        due.sort(key=lambda task: task.next_at or self.now)
        plain: list[Callable[[], None]] = []
        others: list[Callable[[], None]] = []
        for task in due:
            if task.kind == "scheduled":
                newest, slots = self._take_slots(task)
                runs = self._slots_to_run(task, newest, slots)
                is_plain = task.concurrency == "allow" and not task.retries and slots == runs and len(runs) == 1
                (plain if is_plain else others).append(lambda task=task, slots=slots, runs=runs: self._run_slots(task, slots, runs))  # type: ignore[misc]
        for act in (*plain, *others):  # those about which there is nothing to think come first
            act()
        for task in due:
            if task.kind == "continuous":
                self._start_again(task)

    def _take_slots(self, task: Task) -> tuple[list[datetime], list[datetime]]:
        """The newest slot that is due, where there is one, and all those that were not dealt with before the clock was set back."""
        slots = []
        while task.next_at is not None and task.next_at <= self.now:
            slots.append(task.next_at)
            task.next_at += HOUR
        while task.next_at in task.known_slots:
            task.next_at += HOUR
        return slots[-1:], [slot for slot in slots if slot not in task.known_slots]

    def _slots_to_run(self, task: Task, newest: list[datetime], slots: list[datetime]) -> list[datetime]:
        wanted = slots if task.missed == "all" else [slot for slot in newest if slot in slots]
        is_missed = task.missed == "none" and self.now - newest[0] > MINUTE
        return [] if is_missed else [slot for slot in wanted if not task.is_too_late(slot, self.now)]

    def _run_slots(self, task: Task, slots: list[datetime], runs: list[datetime]) -> None:
        if task.concurrency != "allow" or task.retries or slots != runs or len(runs) != 1:
            self._skip_late(task)
        if task.concurrency == "replace":
            runs = runs[-1:]
        elif task.concurrency == "forbid":
            runs = [] if any(not run.is_pending_try for run in task.unfinished) else runs[:1]
        if runs:
            self._give_way(task)
        for slot in runs:
            self._enqueue(task, slot)
        self._skip(task, [slot for slot in slots if slot not in runs])

    def _skip_late(self, task: Task) -> None:
        """What can no longer start in time is in no slot's way."""
        for run in task.unfinished:
            if run.slot is not None and self._is_late(task, run):
                self.queue.remove((task, run))
                task.runs.remove(run)
                self._skip(task, [run.slot])

    def _is_late(self, task: Task, run: Run) -> bool:
        return run.status == "queued" and run.slot is not None and task.is_too_late(run.slot, self.now)

    def _skip(self, task: Task, slots: list[datetime]) -> None:
        task.skipped.update(dict.fromkeys(slots, self.now))

    def _start_again(self, task: Task) -> None:
        was_crash_loop = task.status == "crash_loop"
        task.next_at = self.now + MINUTE if was_crash_loop else None
        if not task.unfinished:
            self._enqueue(task)
        elif was_crash_loop and (began_at := task.unfinished[0].began_at) and self.now - began_at >= MINUTE:
            self._move(task, "started")
            task.next_at = None

    # What becomes of the store

    def orchestrations_in(self, workspace: str) -> list[str]:
        """Oldest first, by the clock, which may have been set back."""
        here = [one for one in self.orchestrations.items() if one[1][0] == workspace]
        return [orchestration_id for orchestration_id, _ in sorted(here, key=lambda one: one[1][2])]

    def tasks_in(self, workspace: str) -> list[str]:
        here = self.orchestrations_in(workspace)
        tasks = [one for one in self.tasks.items() if one[1].orchestration_id in here]
        return [task_id for task_id, _ in sorted(tasks, key=lambda one: one[1].added_at)]

    def restore(self) -> None:
        """What was under way is over in a copy."""
        for task, run in list(self.queue):
            if task.status == "pending":
                self._move(task, "failed" if task.kind == "once" else "started")
            run.began_at = None
            self.end(task, run, "unknown" if run.status == "running" else "killed")

    def prune(self, age: timedelta) -> tuple[int, int]:
        """How many runs, skipped slots among them, and tasks are gone."""
        before = self.now - max(age, MINUTE)
        count = 0
        for task in self.tasks.values():
            kept = [run for run in task.runs if run.ended_at is None or run.ended_at >= before or task.is_ahead(run.slot)]
            skipped = {slot: at for slot, at in task.skipped.items() if at >= before or task.is_ahead(slot)}
            count += len(task.runs) - len(kept) + len(task.skipped) - len(skipped)
            gone = task.known_slots - {run.slot for run in kept} - set(skipped)
            task.pruned_until = max([task.pruned_until, *gone])
            task.runs, task.skipped = kept, skipped
        over = [task_id for task_id, task in self.tasks.items() if self._is_over(task) and task.moved_at < before]
        for task_id in over:
            del self.tasks[task_id]
        return count, len(over)

    def _is_over(self, task: Task) -> bool:
        is_over = task.status == "killed" or (task.kind == "once" and task.status in ("started", "failed", "timed_out"))
        return is_over and not task.runs and not task.skipped

    def delete(self, orchestration_id: str) -> None:
        del self.orchestrations[orchestration_id]
        self.tasks = {task_id: task for task_id, task in self.tasks.items() if task.orchestration_id != orchestration_id}
        for task in self.tasks.values():
            task.runs = [run for run in task.runs if run.orchestration_id != orchestration_id]

    def delete_connection(self, name: str) -> None:
        del self.connections[name]
        for names in self.workspaces.values():
            names.discard(name)

    def is_alive(self, orchestration_id: str) -> bool:
        tasks = [task for task in self.tasks.values() if task.orchestration_id == orchestration_id]
        former = [task for task in self.tasks.values() if any(run.orchestration_id == orchestration_id for run in task.runs)]
        if any(task.status != "killed" for task in former):
            return True
        return any(task.unfinished or (task.kind != "once" and task.status != "killed") for task in tasks)
