"""From an error to what the command line says of it, and to its exit code.

| code | when |
|---|---|
| 0 | it is done |
| 1 | it did not turn out well: packaging failed, something has failed since, the doctor found something, a finished run cannot be killed |
| 2 | it was refused: an option, a bundle, a schedule, an id that means nothing or several things; a package is missing |
| 3 | the store, the disk or the machine did not let it |
| 70 | a bug in orchlite |
| 128+n | signal n ended it: 130 after Ctrl-C, 141 where nobody reads what it writes |

`orchlite run` ends with the exit code of the run: its program's own, or 124 where it timed out.

The library's errors tell those who write Python what to do; `in_words` has what a command has instead, in one table.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Callable

import click

from orchlite.cli.options import Setting
from orchlite.cli.output import one_line, short
from orchlite.core.errors import Conflict, InvalidInput, NotFound, OrchliteError, PackagingFailed, RunFailed, WaitTimeout

DONE, FAILED, REFUSED, NOT_POSSIBLE, BUG = 0, 1, 2, 3, 70
TIMED_OUT = 124
INTERRUPTED, CUT_OFF = 130, 141

_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (InvalidInput, REFUSED),
    (NotFound, REFUSED),
    (click.UsageError, REFUSED),
    (click.ClickException, REFUSED),
    (PackagingFailed, FAILED),
    (RunFailed, FAILED),
    (WaitTimeout, FAILED),
    (Conflict, FAILED),
    (OrchliteError, NOT_POSSIBLE),
    (OSError, NOT_POSSIBLE),
)

_OPTIONS = {
    "accounts": "--accounts",
    "allow_remote": "--allow-remote",
    "base_image": "--base-image",
    "compatibility": "--compatibility",
    "connection_type": "TYPE",
    "details": "--detail",
    "env": "--env",
    "exclude": "--exclude",
    "host": "--host",
    "hosts": "--also-named",
    "index_urls": "--index-url",
    "install_timeout_seconds": "--install-timeout",
    "json_args": "--arg",
    "older_than": "--older-than",
    "starting_deadline_seconds": "--deadline",
    "timeout": "--timeout",
}
"""What errors call an argument of a call, and what that is on the command line."""

_WORDS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r",? or raise Limits[.(]\w+(=\.\.\.\))?", ""),  # no option sets them
    (r"Client\((index_urls|install_timeout_seconds)=\.\.\.\)", r"\1="),
    (r"Client\(path\)", "--store"),
    (rf"\b({'|'.join(_OPTIONS)})=(?:True\b)?(?=[\s.,]|$)", lambda found: _OPTIONS[found[1]]),
    (r"timezone='([^']*)'", r"--timezone \1"),
    (r"\s*The whole log: orchestration\.task\(\)\.wait\(\)\.logs\(\)\.", ""),  # said with its id instead
    (r", or in Python create_connection\([^)]*\)|`orchlite connections` or (?=list_connections)", ""),
    (r"Use get_connection\(name\), or delete that one first", "`orchlite connections delete` removes that one"),
    (r"list_(\w+)\(\) shows", r"`orchlite \1` lists"),
    (r"Use get_workspace\(name\)", "--workspace chooses it"),
    (r"submit it where the host starts: run_once\(\) or run_continuously\(\)", "there is --continuously"),
    (r"Call start\(\) in the process that hosts it", "`orchlite start` belongs outside of it"),
    (r"\b(kill|prune|start|backup)\((?:path)?\)", r"`orchlite \1`"),
    (r"is datetime\.timedelta\([^)]*\)", "is out of bounds"),
    (r" a timedelta, up to (\d+) days: timedelta\(days=30\)", r" up to \1 days: 30d"),
    (r", or None for no limit", "; without it there is no limit"),
)
"""What the library says to those who write Python, and what is said to those who write commands."""


def in_words(text: str) -> str:
    """What the library says, in the words of the command line."""
    for python, shell in _WORDS:
        text = re.sub(python, shell, text)
    return text


def code_of(error: BaseException) -> int:
    """The exit code after this error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), BUG)


def report(error: Exception, setting: Setting) -> int:
    """Say on standard error what went wrong, with `--debug` where, too; the exit code."""
    code = code_of(error)
    if setting.debug:
        traceback.print_exception(error)
    if setting.json:
        print(json.dumps({"error": _shape(error)}, ensure_ascii=False, default=str), file=sys.stderr)
    else:
        print(f"orchlite: {_words(error, code, setting)}", file=sys.stderr)
    return code


def refusal_shape(error: OrchliteError) -> dict[str, object]:
    """An error of the library's: {kind, message, hint, details}."""
    hint = None if error.hint is None else in_words(error.hint)
    return {"kind": type(error).__name__, "message": message_of(error), "hint": hint, "details": error.details}


def message_of(error: OrchliteError) -> str:
    """What is wrong; an argument that it begins with is called what it is called on the command line."""
    argument = str(error.details.get("argument"))
    if argument not in _OPTIONS:
        return in_words(error.message)
    return in_words(re.sub(rf"^{argument}\b", _OPTIONS[argument], error.message))


def _shape(error: Exception) -> dict[str, object]:
    """An error: {kind, message, hint, details}."""
    if isinstance(error, OrchliteError):
        return refusal_shape(error)
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    return {"kind": type(error).__name__, "message": message, "hint": None, "details": {}}


def _words(error: Exception, code: int, setting: Setting) -> str:
    if isinstance(error, PackagingFailed):
        # Its further lines are the installer's.
        orchestration_id = str(error.details.get("orchestration_id", ""))
        where = f" `{setting.command('logs', short(orchestration_id), '--packaging')}` has what the installer said."
        return one_line(message_of(error).partition("\n")[0]) + (where if orchestration_id else "")
    if isinstance(error, OrchliteError):
        text = f"{message_of(error)} {in_words(error.hint)}" if error.hint else message_of(error)
        return "\n".join(map(one_line, text.splitlines()))
    if isinstance(error, click.UsageError):
        command = f" `{error.ctx.command_path} --help` explains it." if error.ctx is not None else ""
        return one_line(error.format_message()) + command
    if isinstance(error, click.ClickException):
        return one_line(error.format_message())
    if code == BUG:
        return one_line(f"this is a bug in orchlite: {type(error).__name__}: {error} (--debug shows where)")
    return one_line(str(error))
