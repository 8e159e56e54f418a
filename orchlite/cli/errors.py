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
"""

from __future__ import annotations

import json
import sys
import traceback

import click

from orchlite.cli.language import spelled
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
    hint = spelled(error.hint or "") or None
    return {"kind": type(error).__name__, "message": spelled(error.message), "hint": hint, "details": error.details}


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
        return one_line(spelled(error.message).partition("\n")[0]) + (where if orchestration_id else "")
    if isinstance(error, OrchliteError):
        return "\n".join(map(one_line, spelled(error.args[0]).splitlines()))
    if isinstance(error, click.UsageError):
        command = f" `{error.ctx.command_path} --help` explains it." if error.ctx is not None else ""
        return one_line(error.format_message()) + command
    if isinstance(error, click.ClickException):
        return one_line(error.format_message())
    if code == BUG:
        return one_line(f"this is a bug in orchlite: {type(error).__name__}: {error} (--debug shows where)")
    return one_line(str(error))
