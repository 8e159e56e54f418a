"""Find things by a word on the command line: an id, the first digits of an id, or a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from orchlite.cli.options import CommonOptions, Converter, common_options
from orchlite.cli.output import Output, time_text
from orchlite.core.errors import IllegalMove, NotFound, OrchliteError
from orchlite.core.status import STARTS_NO_MORE, TaskKind
from orchlite.core.text import counted, one_line, short_id

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.model import Model
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.pipeline import Pipeline
    from orchlite.client.resolution import Resolver
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun


def lookup_of(client: Client, workspace_id: int | None = None) -> Resolver:
    """Return a lookup of a client's store. It looks for names in the given workspace, by default the current one."""
    from orchlite.client.client import engine_of
    from orchlite.client.resolution import Resolver  # imports the whole library, which `--help` does not need

    return Resolver(engine_of(client), client.get_current_workspace().id() if workspace_id is None else workspace_id)


def newest_upload(client: Client, word: str, out: Output) -> Orchestration:
    """Return the orchestration with this id or, of several uploads with this name, the newest, and say so.

    Raises:
        NotFound: nothing has this id or name.
        Ambiguous: several ids begin like this.
    """
    search = lookup_of(client)
    found = search.orchestration(word)
    if found.name() == word and (count := len(search.orchestrations(word))) > 1:
        which = f"{short_id(found.id())} of {time_text(found.created_at())}"
        out.note(f"{word!r:.80} is the name of {count} uploads: this is the newest, {which}")
    return found


def task_named(client: Client, word: str, can_be: Callable[[Task], bool], done: str) -> Task | None:
    """Return the task of this name for which `can_be` is true, or None if no task has the name. `done` names the action: `killed`.

    A task without a name goes by the name of its orchestration. If only one task has been given the name, or if only one of them is no
    one-shot task, as beside reruns, it is returned whatever its status, killed too, as it is by its id.

    Raises:
        Ambiguous: several tasks of this name can be that.
        IllegalMove: several tasks have this name, and `can_be` is false for each of them.
    """
    from orchlite.client.resolution import only

    named = lookup_of(client).called(word)
    able = [task for task in named if can_be(task)]
    if named and not able and len(recurring := _recurring(client, word, named)) == 1:
        return recurring[0]
    if not named or (len(named) == 1 and named[0].name() == word):
        return named[0] if named else None
    if not able:
        raise IllegalMove(_unable(word, named, done), status=str(named[0].status()))
    return only(word, able, "task", "")


def _recurring(client: Client, word: str, named: Sequence[Task]) -> list[Task]:
    """Return those of these tasks that are no one-shot tasks; if there are none, the killed ones of the name."""
    return [task for task in named if task.kind() != "once"] or lookup_of(client).recurring_named(word)


def _unable(word: str, named: Sequence[Task], done: str) -> str:
    """Return the reason why none of these tasks can be `done`. It lists recurring tasks, and counts the others."""
    from orchlite.client.resolution import descriptions

    recurring = [task for task in named if task.kind() != "once"]
    if recurring and all(task.status() == "killed" for task in recurring):
        return f"{len(recurring)} tasks named {word!r:.80} are killed for good. `orchlite schedule` makes a new one."
    if recurring:
        return "\n".join([f"No task named {word!r:.80} can be {done} now:", *descriptions(recurring)])
    found = f"{word!r:.80} is the name of {counted(len(named), 'one-shot task')}"
    if not all(run.status().is_final for task in named for run in task.last_runs(1)):
        return f"{found}, which cannot be {done}: `orchlite kill` ends it."
    return f"{found}, which {'has' if len(named) == 1 else 'have'} ended."


def way_to_run(client: Client, word: str) -> str | None:
    """Return a sentence with the command that runs what has this id or name; None if nothing has it, or if it cannot run."""
    search = lookup_of(client)
    if any(task.kind() is TaskKind.SCHEDULED and task.status() not in STARTS_NO_MORE for task in search.tasks(word)):
        return f"It is a task: `{common_options().command('trigger', word)}` runs it now."
    if search.runs(word) or any(task.last_runs(1) for task in search.tasks(word)):
        return f"`{common_options().command('rerun', word)}` runs the same again."
    if search.orchestrations(word):
        return f"`{common_options().command('run', word)}` runs it."
    return None


def everything_of(client: Client, word: str) -> Sequence[Orchestration | Task | TaskRun | Pipeline | Model]:
    """Return what `Resolver.all_of` returns, then the pipeline and the model of this name.

    Raises:
        NotFound: nothing has this id or name.
        Ambiguous: several ids begin like this.
    """
    search = lookup_of(client)
    inferring: list[Pipeline | Model] = [*search.pipelines(word), *search.models(word)]
    try:
        return [*search.all_of(word), *inferring]
    except NotFound as error:
        if inferring:
            return inferring
        message = f"There is no orchestration, task, run, pipeline or model {word!r:.80} here."
        raise NotFound(message, hint="Give a name, or at least four digits of an id of the first three.", **error.details) from None


def kind_of(one: Orchestration | Task | TaskRun | Pipeline | Model) -> str:
    """Return `orchestration`, `task`, `run`, `pipeline` or `model`."""
    return {"TaskRun": "run"}.get(type(one).__name__, type(one).__name__.lower())


class IdOrName(Converter):
    """An id or a name in the store, which a shell can complete."""

    name = "id"

    def __init__(self, *kinds: str, paths: bool = False, killed: bool = False) -> None:
        """Complete `kinds`: `orchestrations`, `tasks`, `runs`, `pipelines`, `models`, `connections`.

        With `paths`, also complete files; with `killed`, also killed tasks.
        """
        self._kinds = kinds
        self._paths = paths
        self._killed = killed

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the matching names, then the matching short ids, each once."""
        from orchlite.operations.completion import completions

        found = [CompletionItem(incomplete, type="file")] if self._paths else []
        options: CommonOptions = context.find_object(CommonOptions) or CommonOptions()
        with suppress(OrchliteError, OSError):
            words = completions(options.store_folder().database, options.workspace, self._kinds, incomplete, killed=self._killed)
            # The protocol with the shell is one word per line, so a line end in a name would make two.
            found += [CompletionItem(word, help=one_line(text)) for word, text in words.items() if word.isprintable()]
        return found
