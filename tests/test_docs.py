"""What is public is described and annotated."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchlite

_PACKAGE = Path(orchlite.__file__).parent
_PUBLIC = [name for name in orchlite.__all__ if name != "__version__"]
_CLASSES = [name for name in _PUBLIC if inspect.isclass(getattr(orchlite, name))]


def _members(name: str) -> Iterator[tuple[str, object]]:
    """The public methods and properties that a class defines itself."""
    for member, value in vars(getattr(orchlite, name)).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if not member.startswith("_") and inspect.isfunction(function):
            yield member, function


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public functions and methods of a file, `__init__` among them; not those inside of functions."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ClassDef):
            waiting += node.body
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
            yield node


def _is_annotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return function.returns is not None and all(one.annotation is not None or one.arg in ("self", "cls") for one in arguments)


@pytest.mark.parametrize("name", _PUBLIC)
def test_every_public_name_is_described(name: str) -> None:
    value = getattr(orchlite, name)
    assert vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    assert name in dir(orchlite)


@pytest.mark.parametrize("name", _CLASSES)
def test_every_public_method_is_described(name: str) -> None:
    assert [member for member, function in _members(name) if not inspect.getdoc(function)] == []


@pytest.mark.parametrize("name", ["Client", "Connection", "Orchestration", "Task", "TaskRun", "Workspace"])
def test_the_handles_are_looked_at(name: str) -> None:
    assert {"id", "name", "status", "path"} & {member for member, _ in _members(name)}


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Engine'"):
        orchlite.Engine  # noqa: B018


def test_the_package_says_that_it_is_typed() -> None:
    assert (_PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("path", sorted(_PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(_PACKAGE).as_posix())
def test_every_public_function_is_annotated(path: Path) -> None:
    functions = _functions(ast.parse(path.read_text(encoding="utf-8")))
    assert [function.name for function in functions if not _is_annotated(function)] == []
