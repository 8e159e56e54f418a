"""From a word on the command line to the one thing that it means: by its whole id, the first digits of it, or its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from orchlite.cli.options import Converter, Setting
from orchlite.cli.output import counted, one_line, short, time_text
from orchlite.core.errors import IllegalMove, InvalidInput, NotFound, OrchliteError

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.lookup import Lookup
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

_SHOWN = 10
Found = TypeVar("Found", bound="Orchestration | Task | TaskRun")


class Ambiguous(InvalidInput):
    """A word means several things. `details["candidates"]` are their ids."""


def search_of(client: Client, workspace_id: int | None = None) -> Lookup:
    """Finds things in this client's store, names in that workspace, else in its current one."""
    from orchlite.client.client import engine_of
    from orchlite.client.lookup import Lookup  # it brings the whole library, which `--help` does not need

    return Lookup(engine_of(client), client.get_current_workspace().id() if workspace_id is None else workspace_id)


def orchestration_of(client: Client, word: str) -> Orchestration:
    """The orchestration that a word means.

    Raises:
        NotFound, Ambiguous: it means none, or several.
    """
    return _only(word, search_of(client).orchestrations(word), "orchestration", "`orchlite orchestrations` lists them.")


def task_of(client: Client, word: str) -> Task:
    """The task that a word means.

    Raises:
        NotFound, Ambiguous: it means none, or several.
    """
    return _only(word, search_of(client).tasks(word), "task", "`orchlite tasks` lists them.")


def task_or_run_of(client: Client, word: str) -> Task | TaskRun:
    """The task or the run that a word means.

    Raises:
        NotFound, Ambiguous: it means none, or several.
    """
    search = search_of(client)
    found: list[Task | TaskRun] = [*search.tasks(word), *search.runs(word)]
    return _only(word, found, "task or run", "`orchlite tasks` and `orchlite runs` list them.")


def task_named(client: Client, word: str, can_be: Callable[[Task], bool], done: str) -> Task | None:
    """The one task of this name that can be what is wanted, `killed` for instance; None where it is no task's name.

    A task that was given no name is called like the orchestration that it runs. Where one task alone was given this name, it is meant
    whatever its state, as it is by its id.

    Raises:
        Ambiguous: several have it and can be that.
        IllegalMove: several have it, and none can be that.
    """
    ids = {one.id() for one in client.list_orchestrations() if one.name() == word}
    called = [task for task in client.list_tasks() if task.name() == word or (task.name() is None and task.orchestration() in ids)]
    named = called or [task for task in search_of(client).tasks(word) if task.name() == word]  # they were killed
    if not named or (len(named) == 1 and named[0].name() == word):
        return named[0] if named else None
    able = [task for task in named if can_be(task)]
    if not able:
        raise IllegalMove(_unable(word, named, done), status=str(named[0].status()))
    return _only(word, able, "task", "")


def _unable(word: str, named: Sequence[Task], done: str) -> str:
    """Why nothing can be done: of what has one run it says how many there are, and of the rest how each stands."""
    recurring = [task for task in named if task.kind() != "once"]
    if recurring:
        return "\n".join([f"Nothing that {word!r:.80} names can be {done} now:", *_listed(recurring)])
    means = f"{word!r:.80} means {counted(len(named), 'task')}, and"
    if not all(run.status().is_final for task in named for run in task.last_runs(1)):
        return f"{means} what runs once cannot be {done}: `orchlite kill` ends it."
    return f"{means} {'it is' if len(named) == 1 else 'all of them are'} over."


def anything_of(client: Client, word: str) -> Orchestration | Task | TaskRun:
    """The orchestration, task or run that a word means; a name means a task before it means an orchestration.

    Raises:
        NotFound, Ambiguous: it means none, or several.
    """
    search = search_of(client)
    tasks = search.tasks(word)
    named: list[Orchestration | Task | TaskRun] = [task for task in tasks if task.name() == word]
    found = named or [*tasks, *search.runs(word), *search.orchestrations(word)]
    return _only(word, found, "orchestration, task or run", "`orchlite runs`, `orchlite tasks` and `orchlite orchestrations` list them.")


def all_of(client: Client, word: str) -> Sequence[Orchestration | Task | TaskRun]:
    """What a word means where it is only looked at: then a name stands for all the tasks and all the orchestrations that have it.

    So the uploads of one folder, which have one name, are one thing. Tasks come first unless they were killed; newest first.

    Raises:
        NotFound, Ambiguous: it means none, or is the beginning of several ids.
    """
    search = search_of(client)
    tasks = [task for task in search.tasks(word) if task.name() == word]
    uploads = [one for one in search.orchestrations(word) if one.name() == word]
    are_killed = all(task.status() == "killed" for task in tasks)
    return ([*uploads, *tasks] if are_killed else [*tasks, *uploads]) or [anything_of(client, word)]


def _only(word: str, found: Sequence[Found], kind: str, hint: str) -> Found:
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"There is no {kind} {word!r:.80} here.", hint=f"It takes a name, or an id's first four digits. {hint}", word=word)
    message = "\n".join([f"{word!r:.80} means {len(found)} things; say it by id:", *_listed(found)])
    raise Ambiguous(message, candidates=[one.id() for one in found])


def _listed(found: Sequence[Orchestration | Task | TaskRun]) -> list[str]:
    return [_described(one) for one in found[:_SHOWN]] + (["  …"] if len(found) > _SHOWN else [])


def _described(one: Orchestration | Task | TaskRun) -> str:
    from orchlite.client.task import Task

    name = "" if not hasattr(one, "name") or one.name() is None else f" {one.name()!r:.60}"
    kind, state = "", str(one.status())
    if isinstance(one, Task):
        kind = f", {one.kind()}"
        if one.kind() == "once" and (newest := one.last_runs(1)):  # such a task stays `started` for ever
            state = str(newest[0].status())
    # The whole id, where several begin alike.
    return one_line(f"  {one.id()}  {kind_of(one)}{name}{kind}, {state}, {time_text(one.created_at())}")


def kind_of(one: Orchestration | Task | TaskRun) -> str:
    """What it is: `orchestration`, `task` or `run`."""
    return {"Orchestration": "orchestration", "Task": "task"}.get(type(one).__name__, "run")


class Word(Converter):
    """A word that means something in the store; a shell completes it."""

    name = "id"

    def __init__(self, *kinds: str, paths: bool = False, killed: bool = False) -> None:
        """`kinds`: of `orchestrations`, `tasks` and `runs`; with `paths`, files and folders, too, and with `killed` such tasks."""
        self._kinds = kinds
        self._paths = paths
        self._killed = killed

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin so and then the short ids, each once."""
        found = [CompletionItem(incomplete, type="file")] if self._paths else []
        with suppress(OrchliteError, OSError):
            found += [CompletionItem(word, help=text) for word, text in self._words(context).items() if word.startswith(incomplete)]
        return found

    def _words(self, context: click.Context) -> dict[str, str]:
        """Words, and in what state is what they mean: of a name, the newest that has it."""
        setting: Setting = context.find_object(Setting) or Setting()
        client = setting.opened()
        try:
            listings: dict[str, Callable[[], Sequence[Any]]] = {
                "orchestrations": lambda: client.list_orchestrations()[::-1],
                "tasks": lambda: client.list_tasks(killed=self._killed),
                "runs": lambda: search_of(client).newest_runs(_SHOWN),
            }
            found = [(one, str(one.status())) for kind in self._kinds for one in listings[kind]()]
            names = [(one.name(), state) for one, state in found if hasattr(one, "name") and one.name()]
            ids = [(short(one.id()), state) for one, state in found]
            words: dict[str, str] = {}
            for word, state in (*names, *ids):
                words.setdefault(word, state)
            return words
        finally:
            client.close(drain=False)
