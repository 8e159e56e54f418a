"""The exceptions: their tree, their attributes, and how they are copied."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from orchlite.core import errors
from orchlite.core.errors import BadArgument, NotInTask, OrchliteError, WaitTimeout

_PARENTS = {
    "InvalidInput": "OrchliteError",
    "BadBundle": "InvalidInput",
    "BadRequirement": "InvalidInput",
    "BadScene": "InvalidInput",
    "BadSchedule": "InvalidInput",
    "Ambiguous": "InvalidInput",
    "BadArgument": "InvalidInput",
    "BadData": "InvalidInput",
    "BadModel": "InvalidInput",
    "InferenceFailed": "OrchliteError",
    "MissingExtra": "OrchliteError",
    "NotFound": "OrchliteError",
    "Conflict": "OrchliteError",
    "IllegalMove": "Conflict",
    "DeviceFailed": "OrchliteError",
    "PackagingFailed": "DeviceFailed",
    "StoreBusy": "DeviceFailed",
    "StoreDamaged": "DeviceFailed",
    "StoreElsewhere": "OrchliteError",
    "StoreTooNew": "DeviceFailed",
    "StorageFull": "DeviceFailed",
    "ResourceExhausted": "DeviceFailed",
    "RunFailed": "OrchliteError",
    "WaitTimeout": "OrchliteError",
    "NotInTask": "OrchliteError",
    "Closed": "OrchliteError",
}
_BUILT_IN = {
    "InvalidInput": ValueError,
    "MissingExtra": ImportError,
    "NotFound": LookupError,
    "WaitTimeout": TimeoutError,
    "NotInTask": FileNotFoundError,
}

_KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, OrchliteError)]


def test_the_tree_of_exceptions() -> None:
    assert {kind.__name__: kind.__bases__[0].__name__ for kind in _KINDS if kind is not OrchliteError} == _PARENTS


@pytest.mark.parametrize(("name", "built_in"), [pytest.param(*pair, id=pair[0]) for pair in _BUILT_IN.items()])
def test_some_are_builtin_exceptions_too(name: str, built_in: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), built_in)


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.__name__)
class TestEveryError:
    def test_shows_its_message_and_its_hint(self, kind: type[OrchliteError]) -> None:
        assert str(kind("It is too large.", hint="Make it smaller.", limit=5)) == "It is too large. Make it smaller."
        assert str(kind("It is too large.")) == "It is too large."

    def test_has_message_hint_and_details(self, kind: type[OrchliteError]) -> None:
        error = kind("It is too large.", hint="Make it smaller.", entry="a", limit_bytes=5)
        assert (error.message, error.hint, error.details) == (
            "It is too large.",
            "Make it smaller.",
            {"entry": "a", "limit_bytes": 5},
        )

    def test_can_be_copied_and_pickled(self, kind: type[OrchliteError]) -> None:
        error = kind("It is too large.", hint="Make it smaller.", entry="a", limit_bytes=5)
        for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(copied) is kind
            assert str(copied) == str(error)
            assert (copied.message, copied.hint, copied.details) == (error.message, error.hint, error.details)

    def test_is_documented(self, kind: type[OrchliteError]) -> None:
        assert kind.__doc__


def test_a_detail_may_have_any_name_but_hint() -> None:
    assert BadArgument("No.", argument="hint", details=1).details == {"argument": "hint", "details": 1}


@pytest.mark.parametrize("kind", [WaitTimeout, NotInTask])
def test_exceptions_that_are_os_errors_have_no_errno(kind: type[OSError]) -> None:
    error = kind("It took too long.")
    assert (error.errno, str(error)) == (None, "It took too long.")
