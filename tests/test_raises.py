"""`Raises:` of every public callable names what its code raises, and nothing else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module

import pytest

import orchlite
from orchlite import BadArgument, BadModel, BadSchedule, Client, Conflict, IllegalMove, NotFound, RunFailed, WaitTimeout
from tests.source_walk import Call, Errors, is_ours, raised

_CANNOT: dict[str, Errors] = {
    "Client.__init__": {IllegalMove, NotFound, WaitTimeout},
    "Client.backup": {NotFound},
    "Client.build_pipeline": {NotFound},
    "Client.close": {NotFound, WaitTimeout},
    "Client.run": {BadSchedule, WaitTimeout},
    "Client.run_forever": {NotFound, WaitTimeout},
    "Client.temporary": {IllegalMove, NotFound, WaitTimeout},
    "Client.upload_orchestration": {IllegalMove, NotFound, WaitTimeout},
    "Orchestration.run_continuously": {BadSchedule},
    "Orchestration.run_once": {BadSchedule, Conflict},
    "Task.kill": {IllegalMove},
    "Task.resume": {BadArgument},
    "TaskRun.logs": {WaitTimeout},
    "pipeline_stub": {BadModel, NotFound},
    "serve_forever": {NotFound, WaitTimeout},
}
"""What the walk finds, and these cannot raise: they wait without a time-out, read only rows that they have just written or that are never
deleted, have no schedule or one that was checked before, end in one transaction what they have just read or inserted, and every task may
be killed."""


def _documented(thing: object) -> Errors:
    section = (inspect.getdoc(thing) or "").partition("Raises:\n")[2]
    groups = re.findall(r"^ +([A-Z]\w+(?:, [A-Z]\w+)*): ", section, re.MULTILINE)
    return {getattr(orchlite, name) for group in groups for name in group.split(", ") if hasattr(orchlite, name)}


def _callables(kind: type) -> Iterator[tuple[str, Call]]:
    for member in dir(kind):
        found = inspect.getattr_static(kind, member)
        function = found.fget if isinstance(found, property) else inspect.unwrap(getattr(found, "__func__", found))
        if is_ours(function) and (member == "__init__" or not member.startswith("_")):
            yield member, Call(function, kind)


def _public() -> Iterator[tuple[str, Call, Errors]]:
    """The name of every public callable, its function, and what the docstring of its class says of all methods."""
    for module in ("orchlite", "orchlite.testing", "orchlite.rest", "orchlite.ray"):
        for name in import_module(module).__all__:
            value = getattr(import_module(module), name)
            if is_ours(value):
                yield name, Call(value), set()
            elif inspect.isclass(value):
                yield from ((f"{name}.{member}", call, _documented(value)) for member, call in _callables(value))


_ANYWHERE = _documented(Client)


@pytest.mark.parametrize(("name", "call", "of_class"), [pytest.param(*each, id=each[0]) for each in _public()])
def test_a_callable_says_what_it_raises(name: str, call: Call, of_class: Errors) -> None:
    said, kinds = _documented(call.function), raised(call)
    unsaid = kinds - _ANYWHERE - of_class - _CANNOT.get(name, set())
    assert {kind for kind in unsaid if not issubclass(kind, tuple(said | of_class))} == set(), "it raises these, and does not say so"
    assert {kind for kind in said if not any(issubclass(each, kind) for each in kinds)} - _ANYWHERE == set(), "it never raises these"
    assert _CANNOT.get(name, set()) <= kinds, "it needs no exception"


class TestTheWalk:
    """The test above is worth what the walk sees."""

    def test_sees_methods_that_are_reached_by_attributes_of_attributes(self) -> None:
        assert NotFound in raised(Call(orchlite.Task.status, orchlite.Task))

    def test_sees_what_functions_that_make_errors_return(self) -> None:
        assert BadArgument in raised(Call(Client.list_tasks, Client))

    def test_sees_what_is_imported_inside_functions(self) -> None:
        assert Conflict in raised(Call(Client.backup, Client))

    def test_leaves_out_what_is_caught(self) -> None:
        assert Conflict not in raised(Call(Client.close, Client))

    def test_leaves_out_what_is_not_called(self) -> None:
        assert RunFailed not in raised(Call(orchlite.TaskRun.wait, orchlite.TaskRun))
