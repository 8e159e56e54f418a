"""The states of orchestrations, tasks and runs, and the one table of legal moves between them.

No I/O. `store/` performs the moves; what is not in `LEGAL_MOVES` cannot happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class OrchestrationStatus(StrEnum):
    """Where an orchestration is on its way to being runnable."""

    PENDING_PACKAGING = "pending_packaging"
    PACKAGING = "packaging"
    READY = "ready"
    ERROR = "error"


class TaskKind(StrEnum):
    """What a task is an order for."""

    PACKAGING = "packaging"
    ONCE = "once"
    SCHEDULED = "scheduled"
    CONTINUOUS = "continuous"


class TaskStatus(StrEnum):
    """The state of the order, not of its runs: a one-shot task stays `started` however its run ended."""

    PENDING = "pending"
    STARTED = "started"
    FAILED = "failed"
    PENDING_KILL = "pending_kill"
    KILLED = "killed"
    PENDING_PAUSE = "pending_pause"
    PAUSED = "paused"
    PENDING_RESUME = "pending_resume"
    CRASH_LOOP = "crash_loop"
    SCHEDULE_ERROR = "schedule_error"


class RunStatus(StrEnum):
    """The state of one run."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    TIMED_OUT = "timed_out"
    KILLED = "killed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        """True where no move leads on."""
        return not LEGAL_MOVES[self]


Status = OrchestrationStatus | TaskStatus | RunStatus

_O, _T, _R = OrchestrationStatus, TaskStatus, RunStatus
_KILL = frozenset({_T.PENDING_KILL, _T.KILLED})

LEGAL_MOVES: Mapping[Status, frozenset[Status]] = {
    _O.PENDING_PACKAGING: frozenset({_O.PACKAGING, _O.ERROR}),
    # Back to pending only when the packaging host was found dead: packaging is repeatable.
    _O.PACKAGING: frozenset({_O.READY, _O.ERROR, _O.PENDING_PACKAGING}),
    _O.READY: frozenset(),
    _O.ERROR: frozenset(),
    _T.PENDING: frozenset({_T.STARTED, _T.FAILED, _T.PENDING_PAUSE}) | _KILL,
    _T.STARTED: frozenset({_T.PENDING_PAUSE, _T.CRASH_LOOP, _T.SCHEDULE_ERROR}) | _KILL,
    _T.FAILED: _KILL,
    _T.PENDING_KILL: frozenset({_T.KILLED}),
    _T.KILLED: frozenset(),
    _T.PENDING_PAUSE: frozenset({_T.PAUSED}) | _KILL,
    _T.PAUSED: frozenset({_T.PENDING_RESUME}) | _KILL,
    _T.PENDING_RESUME: frozenset({_T.STARTED, _T.FAILED}) | _KILL,
    _T.CRASH_LOOP: frozenset({_T.STARTED, _T.PENDING_PAUSE}) | _KILL,
    _T.SCHEDULE_ERROR: frozenset({_T.STARTED}) | _KILL,
    _R.QUEUED: frozenset({_R.RUNNING, _R.KILLED, _R.SKIPPED, _R.FAILURE}),
    # Back to the queue only for packaging runs, whose work is repeatable; user code starts at most once.
    _R.RUNNING: frozenset({_R.SUCCESS, _R.FAILURE, _R.TIMED_OUT, _R.KILLED, _R.UNKNOWN, _R.QUEUED}),
    _R.SUCCESS: frozenset(),
    _R.FAILURE: frozenset(),
    _R.TIMED_OUT: frozenset(),
    _R.KILLED: frozenset(),
    _R.UNKNOWN: frozenset(),
    _R.SKIPPED: frozenset(),
}


def sources_of(target: Status) -> frozenset[Status]:
    """The states from which a move to `target` is legal."""
    # By kind: a task's `killed` and a run's are equal texts.
    return frozenset(source for source, targets in LEGAL_MOVES.items() if target in targets and type(source) is type(target))
