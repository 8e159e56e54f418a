"""The form that replaces what a task runs: the fields of the task as it is, and what was changed in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from orchlite.client.client import Client
from orchlite.client.task import Task
from orchlite.core.errors import OrchliteError
from orchlite.web.argument_texts import EDITED_CHARACTERS, arguments_text, parsed_arguments
from orchlite.web.language import PAGE

Fields = Mapping[str, str]


class Refused(NamedTuple):
    """A replacement that was refused."""

    fields: Fields
    """What was entered."""
    message: str
    hint: str


def fields_of(task: Task) -> Fields:
    """Return the fields of the form, with the task as it is.

    A schedule and a time limit are there if the task can have them, arguments if they are short enough to be edited.
    """
    arguments = arguments_text(task.input_data())
    scheduled = {"schedule": task.schedule() or "", "timezone": task.timezone() or "", "timeout": _duration(task.timeout())}
    return {
        "orchestration": task.orchestration(),
        **(scheduled if task.schedule() is not None else {}),
        **({"arguments": arguments} if len(arguments) <= EDITED_CHARACTERS else {}),
    }


def replace(client: Client, task: Task, entered: Fields) -> Refused | None:
    """Replace what the task runs by what was entered; what is as before is kept. Return why not, if it was refused."""
    present = fields_of(task)
    changed = {name: value.strip() for name, value in entered.items() if _lines(value) != _lines(present[name])}
    try:
        task.replace(client.get_orchestration_by_id(entered["orchestration"]), **_arguments(changed))
    except OrchliteError as error:
        return Refused(entered, PAGE.spell(error.message), PAGE.spell(error.hint or ""))
    return None


def _arguments(changed: Fields) -> dict[str, Any]:
    """Return the arguments of `Task.replace` for the fields that were changed."""
    arguments: dict[str, Any] = {name: changed[name] for name in ("schedule", "timezone") if name in changed}
    if "timeout" in changed:
        arguments["timeout"] = changed["timeout"] or None
    if "arguments" in changed:
        arguments["json_args"] = parsed_arguments(changed["arguments"] or "{}")
    return arguments


def _lines(text: str) -> str:
    """Return a field as it was sent to the browser, which ends lines with CR and LF (HTML, constructing the entry list)."""
    return text.replace("\r\n", "\n").strip()


def _duration(seconds: float | None) -> str:
    """Return a time limit as `core.durations` reads it: `1h30m`; empty for none."""
    if seconds is None:
        return ""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest:g}s" if rest else "")
    return "".join(parts) or "0s"
