"""Every public name has a docstring and annotations, and stands in the README or the manual, which name nothing that does not exist."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from urllib.request import Request, urlopen

import click
import pytest

import orchlite
from orchlite import OrchestrationStatus, RunStatus, TaskStatus
from orchlite.cli.app import command_line

_PACKAGE = Path(orchlite.__file__).parent
_PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((_PACKAGE / "manual").glob("*.md"))}
_TEXT = "\n".join([(_PACKAGE.parent / "README.md").read_text(encoding="utf-8"), *_PAGES.values()])
_FILES = sorted(_PACKAGE.rglob("*.py"))
_PUBLIC = [name for name in orchlite.__all__ if name != "__version__"]
_CLASSES = [name for name in _PUBLIC if inspect.isclass(getattr(orchlite, name))]


def _members(name: str) -> Iterator[tuple[str, object]]:
    """The public methods and properties of a class, those of its bases among them."""
    bases = [base for base in getattr(orchlite, name).__mro__ if base.__module__.startswith("orchlite.")]
    for member, value in [item for base in bases for item in vars(base).items()]:
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if not member.startswith("_") and inspect.isfunction(function):
            yield member, function


def _section(page: str, title: str) -> str:
    """One section of a page of the manual."""
    return _PAGES[page].split(f"\n## {title}\n")[1].split("\n## ")[0]


def _words(page: str, title: str, *, column: int = 0, calls: bool = False) -> list[str]:
    """The names in a column of a section's tables: those of calls, `name(...)`, without what stands behind them."""
    rows = re.findall(r"^\| (`.*) \|$", _section(page, title), re.MULTILINE)
    cells = [re.split(r"(?<!\\) \| ", row)[column] for row in rows]
    return [word for cell in cells for word in re.findall(r"`(\w+)\(" if calls else r"`(\w[\w-]*)", cell)]


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _definitions(path: Path) -> Iterator[Definition]:
    """The public classes of a file with their public methods and `__init__`, and its public functions."""
    waiting: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    while waiting:
        node = waiting.pop()
        if isinstance(node, Definition) and (node.name == "__init__" or not node.name.startswith("_")):
            yield node
            waiting += node.body if isinstance(node, ast.ClassDef) else []


def _is_described(node: Definition) -> bool:
    is_overload = any(isinstance(decorator, ast.Name) and decorator.id == "overload" for decorator in node.decorator_list)
    return node.name == "__init__" or is_overload or ast.get_docstring(node) is not None


def _is_annotated(function: Definition) -> bool:
    if isinstance(function, ast.ClassDef):
        return True
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


def test_every_verb_of_the_command_is_in_the_manual_and_no_other() -> None:
    assert sorted(_words("command-line", "Verbs")) == sorted(command_line.commands)


def test_every_option_in_the_manual_is_there() -> None:
    groups = [command for command in command_line.commands.values() if isinstance(command, click.Group)]
    commands = [command_line, *command_line.commands.values(), *(command for group in groups for command in group.commands.values())]
    there = {option for command in commands for parameter in command.params for option in parameter.opts}
    commands_shown = re.findall(r"^(?:\$ )?(?:.*\| )?orchlite (.*)$", _TEXT, re.MULTILINE)
    named = re.findall(r"--[a-z][a-z-]*", " ".join([*commands_shown, _PAGES["command-line"]]))
    assert sorted({*named} - there - {"--help"}) == []


def test_every_fixture_is_in_the_manual_and_no_other() -> None:
    from orchlite import pytest_plugin

    fixtures = {name for name, value in vars(pytest_plugin).items() if type(value).__name__ == "FixtureFunctionDefinition"}
    assert sorted(_words("testing", "Fixtures")) == sorted(name for name in fixtures if not name.startswith("_"))


def test_every_route_is_in_the_manual_and_no_other() -> None:
    from orchlite import rest

    rows = re.findall(r"^\| `(/[^`]*/)` +\| (.+?) \|$", _section("rest", "Routes"), re.MULTILINE)
    documented = [below + route for below, routes in rows for route in re.findall(r"`([^`]+)`", routes)]
    with orchlite.Client.temporary() as client, rest.serve(client, port=0) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        with urlopen(Request(f"{server.url}/openapi.json", headers=headers)) as answer:
            real = json.load(answer)["paths"]
    assert sorted(documented) == sorted(real)


def test_every_name_of_the_library_is_in_the_manual_and_no_other() -> None:
    errors = {name for name in _CLASSES if issubclass(getattr(orchlite, name), Exception)} - {"OrchliteError"}
    assert sorted(_words("python", "Errors")) == sorted(errors)
    assert sorted(_words("python", "Module")) == sorted({*_PUBLIC} - errors - {"OrchliteError"})
    assert "`OrchliteError`" in _section("python", "Errors")


@pytest.mark.parametrize(
    "name",
    [
        "Client",
        "Connection",
        "Event",
        "Model",
        "ModelVersion",
        "Orchestration",
        "Pipeline",
        "PipelineVersion",
        "Task",
        "TaskRun",
        "Workspace",
    ],
)
def test_every_method_is_in_the_manual_and_no_other(name: str) -> None:
    assert {*_words("python", name, calls=True)} == {member for member, _ in _members(name)}


def test_every_setting_of_a_client_is_in_the_manual_and_no_other() -> None:
    settings = set(inspect.signature(orchlite.Client).parameters) - {"path"}
    assert {*_words("python", "Client")} - {*_words("python", "Client", calls=True)} == settings


def test_every_limit_and_every_term_of_retention_is_in_the_manual_and_no_other() -> None:
    assert sorted(_words("python", "Limits")) == sorted(orchlite.Limits._fields)
    assert sorted(_words("upkeep", "Retention")) == sorted(orchlite.Retention._fields)


def test_every_status_is_in_the_manual_and_no_other() -> None:
    for title, statuses in (("Orchestrations", OrchestrationStatus), ("Tasks", TaskStatus), ("Runs", RunStatus)):
        assert sorted(_words("statuses", title)) == sorted(statuses)


@pytest.mark.parametrize(("page", "module"), [("testing", "orchlite.testing"), ("rest", "orchlite.rest")])
def test_every_name_of_a_public_module_is_in_the_manual(page: str, module: str) -> None:
    assert [name for name in import_module(module).__all__ if not re.search(rf"\b{name}\b", _PAGES[page])] == []


def test_every_variable_in_the_manual_is_read_or_set_somewhere() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in _PACKAGE.rglob("*.py"))
    named = set(re.findall(r"\b(?:ORCHLITE|WALLAROO|ORCH|TASK)_[A-Z_]+\b", _TEXT))
    assert [name for name in sorted(named) if name not in source] == []


def test_every_bound_in_the_manual_is_that_of_its_benchmark() -> None:
    folder = Path(__file__).parent / "benchmarks"
    calls = [node for path in folder.glob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    reports = [node.args for node in calls if isinstance(node, ast.Call) and ast.unparse(node.func) == "report"]
    told = {tuple(part.value if isinstance(part, ast.Constant) else "" for part in (name, goal, unit)) for name, _, unit, goal in reports}
    rows = re.findall(r"^\| (.+?) \| ([<>]= [\d.]+) \| (.+?) \| `\w+", _PAGES["speed"], re.MULTILINE)
    computed = ("import: ", "two requirements, ")
    assert [row for row in rows if row not in told and not row[0].startswith(computed)] == []
    assert len(rows) > len(computed)


def test_every_example_is_in_their_index_and_no_other() -> None:
    folder = _PACKAGE.parent / "examples"
    named = re.findall(r"^\| \[`(\w+)`\]|^\| `python examples/(\w+\.py)", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    there = [path.name for path in folder.iterdir() if path.name != "README.md" and path.name != "__pycache__"]
    assert sorted(a or b for a, b in named) == sorted(there)


def test_the_index_of_the_manual_names_every_page_and_the_glossary_first() -> None:
    topics = re.findall(r"^- \[([\w-]+)\]\(\1\.md\): ", _PAGES["README"], re.MULTILINE)
    assert topics[0] == "glossary"
    assert sorted(topics) == sorted({*_PAGES} - {"README"})


@pytest.mark.parametrize("name", ["Client", "Connection", "Orchestration", "Task", "TaskRun", "Workspace"])
def test_the_handles_are_looked_at(name: str) -> None:
    assert {"id", "name", "status", "path"} & {member for member, _ in _members(name)}


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Engine'"):
        orchlite.Engine  # noqa: B018


def test_the_package_says_that_it_is_typed() -> None:
    assert (_PACKAGE / "py.typed").is_file()


class TestEveryFile:
    def test_describes_its_public_names(self) -> None:
        assert [(path, node.name) for path in _FILES for node in _definitions(path) if not _is_described(node)] == []

    def test_annotates_its_public_functions(self) -> None:
        assert [(path, node.name) for path in _FILES for node in _definitions(path) if not _is_annotated(node)] == []
