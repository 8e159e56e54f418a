"""What is public is described and annotated."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

import orchlite

_PACKAGE = Path(orchlite.__file__).parent
_README = (_PACKAGE.parent / "README.md").read_text(encoding="utf-8")
_PUBLIC = [name for name in orchlite.__all__ if name != "__version__"]
_CLASSES = [name for name in _PUBLIC if inspect.isclass(getattr(orchlite, name))]


def _members(name: str) -> Iterator[tuple[str, object]]:
    """The public methods and properties of a class, those of its bases among them."""
    bases = [base for base in getattr(orchlite, name).__mro__ if base.__module__.startswith("orchlite.")]
    for member, value in [item for base in bases for item in vars(base).items()]:
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if not member.startswith("_") and inspect.isfunction(function):
            yield member, function


def _section(title: str) -> str:
    """One section of the README."""
    return _README.split(f"\n## {title}\n")[1].split("\n## ")[0]


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


def test_every_verb_of_the_command_is_in_the_readme_and_no_other() -> None:
    from orchlite.cli.app import command_line

    rows = re.findall(r"^\| (`.+?) \| ", _section("From a shell"), re.MULTILINE)
    documented = {verb.split()[0] for row in rows for verb in re.findall(r"`([a-z][^`]*)`", row)}
    assert documented == set(command_line.commands)


def test_every_fixture_is_in_the_readme_and_no_other() -> None:
    from orchlite import pytest_plugin

    fixtures = {name for name, value in vars(pytest_plugin).items() if type(value).__name__ == "FixtureFunctionDefinition"}
    documented = set(re.findall(r"^\| `(\w+)` +\| ", _section("Testing an orchestration"), re.MULTILINE))
    assert documented == {name for name in fixtures if not name.startswith("_")}


def test_every_route_is_in_the_readme_and_no_other() -> None:
    from orchlite import rest

    rows = re.findall(r"^\| `(/[^`]*/)` +\| (.+?) \|$", _section("The platform's API"), re.MULTILINE)
    documented = [below + route for below, routes in rows for route in re.findall(r"`([^`]+)`", routes)]
    with orchlite.Client.temporary() as client, rest.serve(client, port=0) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        with urlopen(Request(f"{server.url}/openapi.json", headers=headers)) as answer:
            real = json.load(answer)["paths"]
    assert sorted(documented) == sorted(real)


def test_every_name_of_the_library_is_in_the_readme_or_described_by_an_error() -> None:
    errors = {name for name in _CLASSES if issubclass(getattr(orchlite, name), Exception)}
    handles = {"Log", "LogLine", "Orchestration", "Task", "TaskRun", "Workspace", "Connection", "Event", "Finding", "Pruned"}
    statuses = {"OrchestrationStatus", "RunStatus", "TaskStatus"}
    assert [name for name in _PUBLIC if name not in errors | handles | statuses and not re.search(rf"\b{name}\b", _README)] == []


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
