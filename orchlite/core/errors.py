"""Every error that orchlite raises on purpose, as one small tree under `OrchliteError`.

Each carries what a program needs to react (`details`: which entry, line, field, limit), what a person needs to go on (`hint`),
and keeps its cause. A user's program that fails is no exception: it is a status, an exit code and a log.
"""

from __future__ import annotations

from typing import Any


class OrchliteError(Exception):
    """The root. `str(error)` is the message and, after it, the hint.

    `details` are the facts by name, e.g. `{"entry": "../x", "limit_bytes": 100}`.
    """

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message + " " + hint if hint else message)
        self.message = message
        self.hint = hint
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword-only arguments do not pickle by themselves; test runners send them between processes.
        return _rebuild, (type(self), self.message, self.hint, self.details)


def _rebuild(kind: type[OrchliteError], message: str, hint: str | None, details: dict[str, Any]) -> OrchliteError:
    return kind(message, hint=hint, **details)


class InvalidInput(OrchliteError, ValueError):
    """What was given cannot be accepted; nothing was stored."""


class BadBundle(InvalidInput):
    """The ZIP or folder is no acceptable bundle. `details["entry"]` names the entry, where there is one."""


class BadRequirement(InvalidInput):
    """A line of `requirements.txt` is refused. `details["line"]` is its number, `details["text"]` its text."""


class BadSchedule(InvalidInput):
    """A cron expression or a time zone is refused. `details["field"]` names the field."""


class BadArgument(InvalidInput):
    """An argument of a call is refused. `details["argument"]` is its name."""


class NotFound(OrchliteError, LookupError):
    """Nothing has this id or name here."""


class Conflict(OrchliteError):
    """The request contradicts what is there already."""


class IllegalMove(Conflict):
    """The thing's status does not allow this. `details["status"]` is the actual status."""


class DeviceFailed(OrchliteError):
    """Something below orchlite failed: the disk, the database, the installer."""


class PackagingFailed(DeviceFailed):
    """The orchestration's environment could not be made. The message ends with the installer's last lines."""


class StoreBusy(DeviceFailed):
    """Another process kept the store locked for longer than the busy time-out; nothing was written."""


class StoreDamaged(DeviceFailed):
    """The store's database file is missing, replaced or unreadable; nothing else was touched."""


class StoreTooNew(DeviceFailed):
    """The store was written by a newer orchlite; it was not touched."""


class StorageFull(DeviceFailed):
    """The disk is full; what was asked for was not stored."""


class ResourceExhausted(DeviceFailed, RuntimeError):
    """The process may start no more threads, or open no more files. Also a `RuntimeError`, as Python raises for threads."""


class RunFailed(OrchliteError):
    """Raised by `raise_for_failure()` only. `details` has `run_id`, `status`, `exit_code`."""


class WaitTimeout(OrchliteError, TimeoutError):
    """The wait ended before the thing waited for; nothing was killed."""


class NotInTask(OrchliteError, FileNotFoundError):
    """This process is not a task run, so it has no task arguments."""

    def __str__(self) -> str:
        # OSError.__str__ would print errno fields that are not there.
        return f"{self.message} {self.hint}" if self.hint else self.message


class Closed(OrchliteError):
    """The client was closed, or belongs to another process."""
