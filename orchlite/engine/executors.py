"""How runs are executed, chosen once when a store is opened: as real programs, or simulated and stepped by a clock moved by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from orchlite.core.status import TaskKind
from orchlite.operations import execution, packaging, preparation
from orchlite.operations.context import Assignment, Context


class Executor(Protocol):
    """The interface of both ways to execute runs."""

    is_stepped: bool
    """Whether runs start and end only when the clock is moved. Worker threads then execute packaging runs only."""

    def execute(self, assignment: Assignment) -> bool:
        """Bring a claimed run to its end. Called on a worker thread; blocks until the outcome is recorded.

        Return whether a queued run may start for another reason than that a worker slot is free now.
        """

    def settle(self) -> None:
        """Start and end every stepped run that can start or end at this instant."""

    def adopt(self) -> None:
        """Continue the stepped runs of hosts that are gone."""

    def next_end_at(self) -> datetime | None:
        """Return when the next stepped run ends: aware, UTC; None if there is none."""

    def raise_errors(self) -> None:
        """Raise the first error that deciding an outcome has raised since the last call."""


class ProgramExecutor:
    """Executes each run as a program in a process of its own."""

    is_stepped = False

    def __init__(self, context: Context) -> None:
        self._context = context

    def execute(self, assignment: Assignment) -> bool:
        """Bring a claimed run to its end. Blocks until the outcome is recorded. Return whether another run may start because of it."""
        preparation.drop(self._context)  # that of this assignment was taken from there
        if assignment.task.kind is TaskKind.PACKAGING:
            packaging.package(self._context, assignment)
            return True
        store, task, seen = self._context.store, assignment.task, []

        def was_started() -> None:
            seen.append(store.version_if_known())  # opens this thread's connection while the program runs
            assignment.was_started()

        has_ended = execution.execute(self._context, assignment._replace(was_started=was_started))
        self._context.standbys.note(assignment.run, task, assignment.orchestration)
        # The run may be queued again, a try or a run that replaces it may follow; and others may have committed something, the program too.
        is_news = [store.version_if_known()] != seen or None in seen
        return is_news or not has_ended or task.kind is not TaskKind.ONCE or task.retry is not None

    def settle(self) -> None:
        """Do nothing: worker threads start the runs, and their processes end them."""

    def adopt(self) -> None:
        """Do nothing: `Recovery` adopts runs that have a process."""

    def next_end_at(self) -> None:
        """Return None: it is not known when a program ends."""
        return

    def raise_errors(self) -> None:
        """Do nothing: the failure of a program is a status."""
