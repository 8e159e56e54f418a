"""The statuses of orchestrations, tasks and runs, and the one table of legal transitions between them.

No I/O. `store/` performs the transitions and refuses those that `LEGAL_TRANSITIONS` does not list.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class OrchestrationStatus(StrEnum):
    """The progress of an orchestration's packaging. Members are strings: `status == "ready"`."""

    PENDING_PACKAGING = "pending_packaging"
    """Queued for packaging."""
    PACKAGING = "packaging"
    """Its environment is being built or found."""
    READY = "ready"
    """Its tasks can run. Final."""
    ERROR = "error"
    """Packaging failed, or was killed. Final; the packaging run's log says why."""


class TaskKind(StrEnum):
    """How often a task runs. Members are strings."""

    PACKAGING = "packaging"
    """Once, to build the environment of an orchestration; created by the upload."""
    ONCE = "once"
    SCHEDULED = "scheduled"
    """At each slot of a cron schedule."""
    CONTINUOUS = "continuous"
    """Again whenever its run has ended."""


class TaskStatus(StrEnum):
    """The status of a task, not of its runs. Members are strings.

    A one-shot task stays `started` when its run ends, unless the run timed out.
    """

    PENDING = "pending"
    """Waits for its orchestration to be ready, or for its first run to start."""
    STARTED = "started"
    """A one-shot task's run has been started; a schedule is kept; a continuous task runs or waits for its next start."""
    FAILED = "failed"
    """It has never run and never will: packaging failed, or its run was killed in the queue."""
    TIMED_OUT = "timed_out"
    """The run of a one-shot task exceeded its time limit."""
    PENDING_KILL = "pending_kill"
    """A kill was requested; a run has not ended yet."""
    KILLED = "killed"
    """Final."""
    PENDING_PAUSE = "pending_pause"
    """A pause was requested; a continuous task's run has not ended yet."""
    PAUSED = "paused"
    """Starts no runs until it is resumed."""
    PENDING_RESUME = "pending_resume"
    """Resumed; waits for its orchestration to be ready."""
    CRASH_LOOP = "crash_loop"
    """A continuous task whose newest five runs have failed within ten minutes. It continues with back-off."""
    SCHEDULE_ERROR = "schedule_error"
    """Its schedule cannot be kept, for example because its time zone's data is gone or damaged. `resume()` tries again."""


class RunStatus(StrEnum):
    """The status of one run. Members are strings: `status == "success"`."""

    QUEUED = "queued"
    """Waits for a worker slot, for packaging or, if it tries a failed run again, for its time."""
    RUNNING = "running"
    """Claimed by a host, which starts or has started its program."""
    SUCCESS = "success"
    """The program exited with code 0."""
    FAILURE = "failure"
    """The program exited with another code, or could not be started."""
    TIMED_OUT = "timed_out"
    """Ended because it exceeded its time limit."""
    KILLED = "killed"
    """Ended on request: by a kill, by pausing its continuous task, or by `concurrency="replace"`; or a try that a new run dropped."""
    UNKNOWN = "unknown"
    """Its runner died before it recorded an outcome: the program may have run, in whole or in part."""
    SKIPPED = "skipped"
    """A slot without a run: missed, paused, forbidden by `concurrency`, or past its starting deadline."""

    @property
    def is_final(self) -> bool:
        """Whether the run has ended: no transition leaves this status."""
        return not targets_of(self)


Status = OrchestrationStatus | TaskStatus | RunStatus

_O, _T, _R = OrchestrationStatus, TaskStatus, RunStatus
_KILL = frozenset({_T.PENDING_KILL, _T.KILLED})

FAILED = frozenset({_R.FAILURE, _R.TIMED_OUT, _R.UNKNOWN})
"""The outcomes that count as failed: they are notified, listed as failed, and make a crash loop. A killed run is not one of them."""

OUTCOMES = FAILED | {_R.SUCCESS}
"""The outcomes that say whether a task fails: its newest run that has one of them decides. A killed run says nothing about that."""

UNSUCCESSFUL = FAILED | {_R.KILLED}
"""The outcomes of a started program other than `success`: all files of the task's newest three such runs are kept."""

STARTS_NO_MORE = frozenset({_T.FAILED, _T.PENDING_KILL, _T.KILLED})
"""The statuses in which a scheduled or continuous task will never start a run again."""

LISTED_AS_FAILURE = frozenset({_R.FAILURE, _R.UNKNOWN})
"""What `last_runs(status="failure")` lists: the platform has no `unknown`."""

LEGAL_TRANSITIONS: Mapping[type[Status], Mapping[Status, frozenset[Status]]] = {
    _O: {
        _O.PENDING_PACKAGING: frozenset({_O.PACKAGING, _O.ERROR}),
        # Back to pending only if the packaging host has died: packaging is repeatable.
        _O.PACKAGING: frozenset({_O.READY, _O.ERROR, _O.PENDING_PACKAGING}),
        _O.READY: frozenset(),
        _O.ERROR: frozenset(),
    },
    _T: {
        _T.PENDING: frozenset({_T.STARTED, _T.FAILED, _T.PENDING_PAUSE}) | _KILL,
        _T.STARTED: frozenset({_T.TIMED_OUT, _T.PENDING_PAUSE, _T.CRASH_LOOP, _T.SCHEDULE_ERROR}) | _KILL,
        _T.FAILED: _KILL,
        _T.TIMED_OUT: _KILL,
        _T.PENDING_KILL: frozenset({_T.KILLED}),
        _T.KILLED: frozenset(),
        _T.PENDING_PAUSE: frozenset({_T.PAUSED}) | _KILL,
        _T.PAUSED: frozenset({_T.PENDING_RESUME}) | _KILL,
        _T.PENDING_RESUME: frozenset({_T.STARTED, _T.FAILED}) | _KILL,
        _T.CRASH_LOOP: frozenset({_T.STARTED, _T.PENDING_PAUSE, _T.SCHEDULE_ERROR}) | _KILL,
        _T.SCHEDULE_ERROR: frozenset({_T.STARTED}) | _KILL,
    },
    _R: {
        _R.QUEUED: frozenset({_R.RUNNING, _R.KILLED, _R.SKIPPED, _R.FAILURE}),
        # Back to the queue only if no program was started, or for packaging, which is repeatable: user code starts at most once.
        _R.RUNNING: frozenset({_R.SUCCESS, _R.FAILURE, _R.TIMED_OUT, _R.KILLED, _R.UNKNOWN, _R.QUEUED}),
        _R.SUCCESS: frozenset(),
        _R.FAILURE: frozenset(),
        _R.TIMED_OUT: frozenset(),
        _R.KILLED: frozenset(),
        _R.UNKNOWN: frozenset(),
        _R.SKIPPED: frozenset(),
    },
}
"""By kind, because statuses of different kinds may be equal texts: the statuses that may follow each status."""


def targets_of(source: Status) -> frozenset[Status]:
    """Return the statuses to which a transition from `source` is legal."""
    return LEGAL_TRANSITIONS[type(source)][source]


def sources_of(target: Status) -> frozenset[Status]:
    """Return the statuses from which a transition to `target` is legal."""
    return frozenset(source for source, targets in LEGAL_TRANSITIONS[type(target)].items() if target in targets)
