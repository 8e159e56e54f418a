"""From an exception to the message and the exit code of the command line.

| code | when |
|---|---|
| 0 | success |
| 1 | failure: of packaging, of a check by `doctor`, `health` or `status --failed-since`, or a status does not allow the request |
| 2 | invalid input: an option, a bundle, a schedule, an id or name of nothing or of several things; or a package is not installed |
| 3 | the store, the disk or the machine failed |
| 70 | a bug in orchlite |
| 128+n | ended by signal n: 130 after Ctrl-C, 141 if the reader of its output is gone |

`orchlite run` exits with the exit code of its program, or with 124 if the run timed out.
"""

from __future__ import annotations

import json
import sys

import click

from orchlite.cli.language import spelled
from orchlite.cli.options import CommonOptions
from orchlite.core.errors import Conflict, InvalidInput, MissingExtra, NotFound, OrchliteError, PackagingFailed, RunFailed, WaitTimeout
from orchlite.core.text import one_line, short_id

SUCCESS, FAILED, REFUSED, NOT_POSSIBLE, BUG = 0, 1, 2, 3, 70
TIMED_OUT = 124
INTERRUPTED, CUT_OFF = 130, 141

_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (InvalidInput, REFUSED),
    (NotFound, REFUSED),
    (MissingExtra, REFUSED),
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
    """Return the exit code for an exception."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), BUG)


def report(error: Exception, options: CommonOptions) -> int:
    """Print an exception on standard error, as the options ask for, and return the exit code."""
    code = code_of(error)
    if options.debug:
        import traceback

        traceback.print_exception(error)
    if options.json:
        print(json.dumps({"error": _any_error_json(error)}, ensure_ascii=False, default=str), file=sys.stderr)
    else:
        print(f"orchlite: {_message(error, code, options)}", file=sys.stderr)
    return code


def error_json(error: OrchliteError) -> dict[str, object]:
    """Return an error of the library: {kind, message, hint, details}."""
    hint = spelled(error.hint or "") or None
    return {"kind": type(error).__name__, "message": spelled(error.message), "hint": hint, "details": error.details}


def _any_error_json(error: Exception) -> dict[str, object]:
    if isinstance(error, OrchliteError):
        return error_json(error)
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    return {"kind": type(error).__name__, "message": message, "hint": None, "details": {}}


def _message(error: Exception, code: int, options: CommonOptions) -> str:
    if isinstance(error, PackagingFailed):
        return _packaging_message(error, options)
    if isinstance(error, OrchliteError):
        return "\n".join(map(one_line, spelled(error.args[0]).splitlines()))
    if isinstance(error, click.UsageError):
        help_hint = f" See `{error.ctx.command_path} --help`." if error.ctx is not None else ""
        return one_line(error.format_message()) + help_hint
    if isinstance(error, click.ClickException):
        return one_line(error.format_message())
    if code == BUG:
        return one_line(f"this is a bug in orchlite: {type(error).__name__}: {error} (--debug prints the traceback)")
    return one_line(str(error))


def _packaging_message(error: PackagingFailed, options: CommonOptions) -> str:
    """Return the first line of the message. The lines after it are the installer's, which a command shows in full."""
    message = one_line(spelled(error.message).partition("\n")[0])
    if (orchestration_id := error.details.get("orchestration_id")) is None:
        return message
    return f"{message} `{options.command('logs', short_id(orchestration_id), '--packaging')}` shows the installer's log."
