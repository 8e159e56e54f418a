"""The verb `show`: all that is known about one thing, for a person or for a program."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import Shape, task_shapes, whole_orchestration_shape, whole_run_shape
from orchlite.cli.lists import looking
from orchlite.cli.lookup import Word, all_of, kind_of
from orchlite.cli.options import Verb, setting
from orchlite.cli.output import seconds_text, short, time_text

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

_NAMED_OTHERS = 5
_OF_SCHEDULES = ("next_run_at", "scheduled_at")
"""Times that are told in the zone of the schedule."""


@click.command(cls=Verb, short_help="Show all about one thing.")
@click.argument("word", metavar="ID", type=Word("orchestrations", "tasks", "runs", killed=True))
def show(word: str) -> None:
    """Show all that is known about an orchestration, a task or a run: of a run its files and arguments, too.

    A name is that of the newest task that has it, else of the newest orchestration.
    """
    with looking() as (client, out):
        one, *others = all_of(client, word)
        shape = {"what": kind_of(one), **_shape_of(client, one)}
        if out.as_json:
            out.json(shape)
        else:
            out.facts(_facts(shape))
        if others:
            out.note(_others_in_words(others, word))


def _shape_of(client: Client, one: Orchestration | Task | TaskRun) -> Shape:
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task

    if isinstance(one, Orchestration):
        return whole_orchestration_shape(one)
    return task_shapes(client)(one) if isinstance(one, Task) else whole_run_shape(client, one)


def _facts(shape: Shape) -> dict[str, object]:
    """The shape for a person: times on a clock, durations with a unit, and nothing that is as always."""
    if shape.get("log_is_complete"):
        shape = {**shape, "log_is_complete": None}
    return dict(_fact(name, value, shape.get("timezone")) for name, value in shape.items())


def _fact(name: str, value: Any, timezone: str | None) -> tuple[str, object]:
    if name.endswith("_seconds"):
        return name.removesuffix("_seconds"), seconds_text(value)
    label = name.replace("_", " ")
    if name.endswith("_at") and value is not None:
        return label, time_text(datetime.fromisoformat(value), timezone if name in _OF_SCHEDULES else None)
    if name == "last_run" and value is not None:
        return label, f"{short(value['id'])}, {value['status']}, {time_text(datetime.fromisoformat(value['created_at']))}"
    if name == "reason" and value is not None:
        return label, value.partition("\n")[0]
    return label, value


def _others_in_words(others: Sequence[Orchestration | Task | TaskRun], word: str) -> str:
    names = [f"{kind_of(one)} {short(one.id())}" for one in others[:_NAMED_OTHERS]] + ["…"] * (len(others) > _NAMED_OTHERS)
    have = "other has" if len(others) == 1 else "others have"
    return f"{len(others)} {have} the name {word!r:.80}, too: {', '.join(names)}; `{setting().command('show', 'ID')}` shows one"
