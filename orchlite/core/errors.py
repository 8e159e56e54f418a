"""The exceptions that orchlite raises on purpose: one small tree under `OrchliteError`.

Each has a message for people, a hint with the way out, and `details` for programs: the entry, line, field or limit in question. Exceptions
of the operating system and of libraries are kept as `__cause__`. A failing program of a user raises nothing: the run's status, exit code
and log say so.
"""

from __future__ import annotations

from typing import Any


class OrchliteError(Exception):
    """The base class. `str(error)` is the message followed by the hint.

    `message` says what is wrong; `hint` is the way out, or None; `details` are the facts by name, such as
    `{"entry": "../x", "limit_bytes": 100}`.
    """

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message + " " + hint if hint else message)
        self.message = message
        self.hint = hint
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword-only arguments cannot be pickled by default, and test runners send them between processes.
        return _rebuild, (type(self), self.message, self.hint, self.details)


def _rebuild(kind: type[OrchliteError], message: str, hint: str | None, details: dict[str, Any]) -> OrchliteError:
    return kind(message, hint=hint, **details)


class InvalidInput(OrchliteError, ValueError):
    """The input is invalid; nothing was stored."""


class BadBundle(InvalidInput):
    """The ZIP or folder is not a valid bundle. `details["entry"]` is the name of the entry, if it is about one."""


class BadRequirement(InvalidInput):
    """A line of `requirements.txt` is invalid. `details["line"]` is its number, `details["text"]` its text, with credentials masked."""


class BadSchedule(InvalidInput):
    """A cron expression or a time zone is invalid. `details["field"]` is the field of cron, `expression` or `timezone`."""


class BadArgument(InvalidInput):
    """An argument of a call is invalid. `details["argument"]` is its name."""


class BadModel(InvalidInput):
    """The file is no model that orchlite can run. `details["model"]` is the model's name."""


class BadData(InvalidInput):
    """The data does not fit the pipeline's models. `details["column"]` is the column, `details["row"]` the row, if it is about one."""


class BadScene(InvalidInput):
    """A scene, the TOML file of `Client.seed`, is invalid. `details` has its `path`, the `line` and the `key`."""


class Ambiguous(InvalidInput):
    """Several things have this name or beginning of an id. `details["candidates"]` are their ids."""


class NotFound(OrchliteError, LookupError):
    """Nothing in the store has this id or name."""


class Conflict(OrchliteError):
    """The request contradicts what the store or the disk has."""


class IllegalMove(Conflict):
    """The status of an orchestration, task or run does not allow the request. `details["status"]` is that status."""


class StoreElsewhere(OrchliteError):
    """This run executes on a node of a cluster, and the request needs the store of its host. `details["workspace_id"]` is the run's."""


class InferenceFailed(OrchliteError):
    """A pipeline cannot run, or a model of it failed. `details["model"]` is the model's name, if it is about one."""


class MissingExtra(OrchliteError, ImportError):
    """A package that an extra of orchlite installs is not there. `details["package"]` and `details["extra"]` name them."""


class DeviceFailed(OrchliteError):
    """Something that orchlite depends on failed: the disk, the database, the installer."""


class PackagingFailed(DeviceFailed):
    """The environment of an orchestration could not be built. The message ends with the installer's last lines."""


class StoreBusy(DeviceFailed):
    """Another process kept the store locked for longer than the busy timeout; nothing was written."""


class StoreDamaged(DeviceFailed):
    """The store's database is missing, replaced or unreadable; nothing was changed."""


class StoreTooNew(DeviceFailed):
    """The store was written by a newer version of orchlite; it was not changed."""


class StorageFull(DeviceFailed):
    """The disk is full; nothing was stored."""


class ResourceExhausted(DeviceFailed, RuntimeError):
    """The process may start no more threads, or open no more files. Also a `RuntimeError`, as Python raises for threads."""


class RunFailed(OrchliteError):
    """A run has ended unsuccessfully. Only `raise_for_failure()` raises it. `details` has `run_id`, `status` and `exit_code`."""


class WaitTimeout(OrchliteError, TimeoutError):
    """The time limit of a wait has passed; nothing was killed."""


class NotInTask(OrchliteError, FileNotFoundError):
    """This process is not a run of a task, so it has no task arguments."""

    def __str__(self) -> str:
        # OSError.__str__ would print its errno fields, which are not set.
        return f"{self.message} {self.hint}" if self.hint else self.message


class Closed(OrchliteError):
    """The client was closed, or belongs to another process."""
