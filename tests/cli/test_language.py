"""Errors of the library name options and commands on the command line, not the Python API."""

from __future__ import annotations

import ast
import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

import orchlite
from orchlite.cli.app import command_line
from orchlite.cli.language import COMMAND_LINE
from orchlite.core.hints import Api, Name

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_PACKAGE = Path(orchlite.__file__).parent
_PYTHON = re.compile(r"\w\(|\b[a-z_]{2,}=(?!=)|\bLimits\b|\bClient\b")
_OTHER_INTERFACES = ("sdk/", "rest/", "cli/", "testing/")


def _literals(node: ast.AST) -> Iterator[str]:
    """Yield the string literals in an expression, except those for Python only."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "PythonOnly":
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for below in ast.iter_child_nodes(node):
        yield from _literals(below)


def _hints(tree: ast.Module) -> Iterator[str]:
    """Yield the literals of every `hint=` and of assignments to `hint`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            yield from _literals(node.value)
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "hint" for target in node.targets):
            yield from _literals(node.value)


def _library() -> Iterator[Path]:
    return (path for path in _PACKAGE.rglob("*.py") if not path.relative_to(_PACKAGE).as_posix().startswith(_OTHER_INTERFACES))


@pytest.mark.slow
def test_hints_mention_the_python_api_only_by_parts() -> None:
    hints = [hint for path in _library() for hint in _hints(ast.parse(path.read_text("utf-8")))]
    assert len(hints) > 100
    assert [hint for hint in hints if _PYTHON.search(hint)] == []


@pytest.mark.parametrize("name", [value for value in vars(Api).values() if isinstance(value, Name)])
def test_the_command_line_spells_every_name_of_the_python_api(name: Name) -> None:
    assert _PYTHON.search(name)
    assert not _PYTHON.search(COMMAND_LINE.names[name])


def test_every_option_in_the_table_exists() -> None:
    options = {
        name for verb in _verbs(command_line) for parameter in verb.params for name in (*parameter.opts, parameter.human_readable_name)
    }
    assert {spelling for spelling in COMMAND_LINE.arguments.values() if spelling not in options} == set()


def _verbs(verb: click.Command) -> Iterator[click.Command]:
    yield verb
    for below in verb.commands.values() if isinstance(verb, click.Group) else ():
        yield from _verbs(below)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "bundle-0", "--timeout", "0.5s"], "--timeout is 0.5"),
        (["schedule", "bundle-0", "@daily", "--timeout", "0s"], "--timeout is 0. "),
        (["schedule", "bundle-0", "@daily", "--deadline", "0s"], "--deadline is 0. "),
        (["schedule", "bundle-0", "@daily", "--deadline", "0.5s"], "--deadline is 0.5"),
        (["schedule", "bundle-0", "@reboot"], "--continuously"),
        (["schedule", "bundle-0", "TZ=Europe/Berlin 0 0 * * *"], "--timezone 'Europe/Berlin'"),
        (["run", "bundle-0", "--env", "=x"], "not a name of a variable"),
        (["run", "bundle-0", "--base-image", "nosuch image"], "--base-image"),
        (["run", "bundle-0", "--replace-pins", "six"], "--replace-pins has a line that is not NAME==VERSION"),
        (["serve", "--port", "0", "--replace-pins", "host"], "--replace-pins is 'host'. It takes 'platform', 'platform-2023'"),
        (["prune", "--older-than", "99999999d"], "--older-than"),
        (["connections", "create", "taken", "postgres"], "`orchlite connections delete taken`"),
        (["connections", "delete", "nosuch"], "`orchlite connections` lists them"),
        (["workspaces", "create", "default"], "--workspace"),
        (["pause", "once"], "`orchlite kill` ends it"),
        (["restore", ".", "elsewhere"], "`orchlite backup`"),
        (["serve", "--host", "0.0.0.0"], "--allow-remote allows that"),
        (["serve", "--port", "0", "--compatibility", "1"], "--compatibility is '1'"),
        (["serve", "--port", "0", "--also-named", "a b"], "--also-named has 'a b'"),
        (["check", "unreadable"], "--exclude"),
        (["run", "bundle-1"], "--index-url"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_name_options_and_commands(call: Call, folder: MakeFolder, tmp_path: Path, words: list[str], expected: str) -> None:
    if words[0] == "serve":
        pytest.importorskip("uvicorn")
    folder("print(1)")
    folder({"main.py": "print(1)", "requirements.txt": "--extra-index-url https://somewhere/simple\n"})
    if words[0] == "pause":
        call("run", "bundle-0", "--name", "once")
    call("connections", "create", "taken", "postgres")
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "main.py").symlink_to("nowhere")
    refused = call(*words)
    said = refused.output
    assert refused.exit_code in (1, 2)
    assert expected in said
    assert not _PYTHON.search(said)


@pytest.mark.slow
def test_failed_packaging_names_the_option_for_another_index(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    mine = folder({"main.py": "print(1)", "requirements.txt": "no-such-package-here==1.0\n"})
    failed = call("--json", "run", mine, "--index-url", (tmp_path / "index").as_uri())
    told = json.loads(failed.stderr.splitlines()[-1])["error"]
    assert "--index-url" in told["message"]
    assert not _PYTHON.search(told["message"])


def test_install_timeout_limits_an_installation(call: Call, folder: MakeFolder) -> None:
    mine = folder({"main.py": "print(1)", "requirements.txt": "no-such-package-here==1.0\n"})
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes calls, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        failed = call("run", mine, "--index-url", url, "--install-timeout", "0.3s")
    assert failed.exit_code == 1
    assert "The limit is install_timeout_seconds, or --install-timeout." in failed.stderr
