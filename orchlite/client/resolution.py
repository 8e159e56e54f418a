"""From a word, that is an id, its first digits or a name, to what it means. Python and the command line share it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from orchlite.client.lookup import Lookup
from orchlite.client.orchestration import Orchestration
from orchlite.client.task import Task
from orchlite.client.task_run import TaskRun
from orchlite.core.arguments import checked_id
from orchlite.core.errors import Ambiguous, NotFound
from orchlite.core.hints import Api
from orchlite.core.status import TaskKind
from orchlite.core.tables import Table
from orchlite.store.lookups import WantedRuns

_MAX_LISTED = 10
_FOUR_DIGITS = "Give a name, or at least four digits of an id. "
Found = TypeVar("Found", bound=Orchestration | Task | TaskRun)


class Resolver(Lookup):
    """Finds the one thing that a word means: names in one workspace, ids and their first digits (4 at least) in the whole store."""

    def orchestration(self, word: str) -> Orchestration:
        """Return the orchestration with this id, or the newest upload of this name.

        Raises:
            NotFound: nothing has this id or name.
            Ambiguous: several ids begin like this.
            BadArgument: it is not a word.
        """
        found = self.orchestrations(checked_id(word, "orchestration"))
        return found[0] if found and found[0].name() == word else self.only_orchestration(word)

    def only_orchestration(self, word: str) -> Orchestration:
        """Return the one orchestration with this id or name, for what cannot be undone.

        Raises:
            NotFound: nothing has this id or name.
            Ambiguous: several things have it.
        """
        return only(word, self.orchestrations(word), "orchestration", Api.LIST_ORCHESTRATIONS + " lists them.")

    def task(self, word: str) -> Task:
        """Return the task with this id or, of those with this name, the one that can still have runs; if none can, the newest.

        A task without a name goes by the name of its orchestration.

        Raises:
            NotFound: nothing has this id or name.
            Ambiguous: several ids begin like this, or several tasks of this name can still have runs.
            BadArgument: it is not a word.
        """
        called = self.called(checked_id(word, "task"))
        able = [task for task in called if self.can_have_runs(task)]
        if not able and called:
            return max(called, key=Task.created_at)
        return only(word, able, "task", "") if able else self.only_task(word)

    def only_task(self, word: str) -> Task:
        """Return the one task with this id or name.

        Raises:
            NotFound: nothing has this id or name.
            Ambiguous: several things have it.
        """
        return only(word, self.tasks(word), "task", Api.LIST_TASKS + " lists them.")

    def task_or_run(self, word: str) -> Task | TaskRun:
        """Return the one task with this id or name, or the run with this id.

        Raises:
            NotFound: nothing has this id or name.
            Ambiguous: several things have it.
        """
        found: list[Task | TaskRun] = [*self.tasks(word), *self.runs(word)]
        return only(word, found, "task or run", Api.LIST_TASKS + " and " + Api.LIST_RUNS + " list them.")

    def run(self, word: str) -> TaskRun:
        """Return the run with this id, or the newest run of the tasks and orchestrations with this id or name.

        Raises:
            NotFound: nothing has this id or name, or it has had no run.
            Ambiguous: several ids begin like this.
            BadArgument: it is not a word.
        """
        found = self.all_of(checked_id(word, "run"))
        newest = self.newest_run_below(found)
        if newest is None:
            raise no_run_yet(word, found)
        return newest

    def anything(self, word: str) -> Orchestration | Task | TaskRun:
        """Return the orchestration, task or run with this id or name. The names of tasks come before those of orchestrations.

        Raises:
            NotFound: nothing has this id or name.
            Ambiguous: several things have it.
        """
        tasks = self.tasks(word)
        named: list[Orchestration | Task | TaskRun] = [task for task in tasks if task.name() == word]
        found = named or [*tasks, *self.runs(word), *self.orchestrations(word)]
        hint = Api.LIST_RUNS + ", " + Api.LIST_TASKS + " and " + Api.LIST_ORCHESTRATIONS + " list them."
        return only(word, found, "orchestration, task or run", hint)

    def all_of(self, word: str) -> Sequence[Orchestration | Task | TaskRun]:
        """Return all tasks and orchestrations of this name, or the one thing with this id; for what changes none of them.

        The uploads of one folder share a name, so they go together. Tasks come first unless all are killed; newest first.

        Raises:
            NotFound: nothing has this id or name.
            Ambiguous: several ids begin like this.
        """
        tasks = [task for task in self.tasks(word) if task.name() == word]
        uploads = [one for one in self.orchestrations(word) if one.name() == word]
        are_killed = all(task.status() == "killed" for task in tasks)
        return ([*uploads, *tasks] if are_killed else [*tasks, *uploads]) or [self.anything(word)]

    def runs_of_all(self, found: Sequence[Orchestration | Task | TaskRun], wanted: WantedRuns) -> Table[TaskRun]:
        """Return the runs of all these, each once, newest first; of a run, itself."""
        if len(found) == 1:  # in order already; the times below cost a query each
            return self.runs_below(found[0], wanted)
        runs = {run.id(): run for one in found for run in self.runs_below(one, wanted)}
        return Table(sorted(runs.values(), key=TaskRun.created_at, reverse=True)[: wanted.limit])

    def newest_run_below(self, found: Sequence[Orchestration | Task | TaskRun]) -> TaskRun | None:
        """Return the newest of all their runs; None if there is none."""
        return next(iter(self.runs_of_all(found, WantedRuns(limit=1))), None)


def only(word: str, found: Sequence[Found], kind: str, hint: str) -> Found:
    """Return the one thing that was found.

    Raises:
        NotFound: nothing was found.
        Ambiguous: several things were.
    """
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"There is no {kind} {word!r:.80} here.", hint=_FOUR_DIGITS + hint, word=word)
    message = "\n".join([f"{word!r:.80} means {len(found)} things; give one of these ids:", *descriptions(found)])
    raise Ambiguous(message, candidates=[one.id() for one in found])


def descriptions(found: Sequence[Orchestration | Task | TaskRun]) -> list[str]:
    """Return a line for each, with its complete id, because several may begin alike; ten at most."""
    rest = [f"  and {len(found) - _MAX_LISTED} more"] if len(found) > _MAX_LISTED else []
    return [_description(one) for one in found[:_MAX_LISTED]] + rest


def no_run_yet(word: str, found: Sequence[Orchestration | Task | TaskRun]) -> NotFound:
    """Return the error for tasks or orchestrations that have had no run."""
    if all(one.status() == "killed" for one in found):
        return NotFound(f"{word!r:.80} had no run before it was killed.", hint=Api.LIST_RUNS + " lists the runs of others.", word=word)
    return NotFound(f"{word!r:.80} has had no run yet.", hint=Api.LIST_TASKS + " shows when it is due.", word=word)


def _description(one: Orchestration | Task | TaskRun) -> str:
    name = "" if isinstance(one, TaskRun) or one.name() is None else f" {one.name()!r:.60}"
    what, state = "run" if isinstance(one, TaskRun) else type(one).__name__.lower(), str(one.status())
    kind = f", {one.kind()}" if isinstance(one, Task) else ""
    if isinstance(one, Task) and one.kind() is TaskKind.ONCE and (newest := one.last_runs(1)):  # such a task remains `started`
        state = str(newest[0].status())
    return f"  {one.id()}  {what}{name}{kind}, {state}, {_local(one.created_at())}"


def _local(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S %Z}"
