"""The library's hints are for those who write Python; a command says them in the words of commands."""

from __future__ import annotations

import ast
import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

import orchlite
from orchlite.cli.errors import in_words

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_PACKAGE = Path(orchlite.__file__).parent
_PYTHON = re.compile(r"\w\(|\b[a-z_]{2,}=(?!=)|\bLimits\b|\bClient\b")
_ANSWERS_REQUESTS = ("errors", "multipart", "queries", "request_models", "tasks")
_NOT_FOR_COMMANDS = (
    *("sdk/", "runs/runner/", "cli/", "testing/", "engine/forever.py"),
    *(f"rest/{name}.py" for name in _ANSWERS_REQUESTS),
)
"""What is other doors', or what no command comes to; of the server's files, which `serve` comes to, those that answer requests."""

_UNREACHABLE = {
    "A name holds no = and no NUL.",  # it is about the sign, and no Python
    "Correct it, or set PIP_CONFIG_FILE=/dev/null to use none.",  # a variable of pip's
    "Advance the clock, then wait.",
    "Ids are UUIDs: see id().",
    "Call wait() first.",
    "It takes a Retention(...).",
    "Make one: secrets.token_urlsafe(32).",
    "It takes an aware datetime: datetime.now(UTC).",
    "It takes what get_workspace(name) answers.",
    "Open a Client of its own in a forked process.",
    "Open a new Client on the same store.",
    "Use Client(path).",
    "Values are texts without NUL: str(value).",
    "Write exclude=[{}].",  # of one text; an option makes it a list
    "Write it as a text: str(key).",
    "create_if_not_exist=True creates it.",  # options.py says which verb does
    "task.last_runs() shows a task's runs.",
}
"""About objects that somebody gave a call in Python."""


def _text(node: ast.expr) -> str | None:
    """A literal, with {} where a value is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def _literals(node: ast.AST) -> Iterator[str]:
    """The literals that a hint is chosen from."""
    if isinstance(node, ast.expr) and (text := _text(node)) is not None:
        yield text
        return
    for below in ast.iter_child_nodes(node):
        yield from _literals(below)


def _hints(tree: ast.Module) -> Iterator[str]:
    """What is given as `hint=`, or assigned to that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            yield from _literals(node.value)
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "hint" for target in node.targets):
            yield from _literals(node.value)


def _library() -> Iterator[Path]:
    return (path for path in _PACKAGE.rglob("*.py") if not path.relative_to(_PACKAGE).as_posix().startswith(_NOT_FOR_COMMANDS))


_PYTHON_HINTS = sorted({hint for path in _library() for hint in _hints(ast.parse(path.read_text("utf-8"))) if _PYTHON.search(hint)})


def test_hints_of_the_library_are_found() -> None:
    assert len(_PYTHON_HINTS) > 30


@pytest.mark.parametrize("hint", [hint for hint in _PYTHON_HINTS if hint not in _UNREACHABLE])
def test_a_command_has_other_words_for_a_hint_that_speaks_python(hint: str) -> None:
    said = in_words(hint.replace("timezone={}", "timezone='Europe/Berlin'").replace("{}", "7"))
    assert not _PYTHON.search(said)
    assert said.strip().endswith(".") or not said.strip()


@pytest.mark.parametrize("text", ["Require tabulate==0.9.0.", "It ended (with exit code 1).", "prune what is old", "--exclude=x"])
def test_what_is_no_python_is_said_as_it_is(text: str) -> None:
    assert in_words(text) == text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "bundle-0", "--timeout", "0.5s"], "--timeout is 0.5"),
        (["schedule", "bundle-0", "@daily", "--deadline", "0.5s"], "--deadline is 0.5"),
        (["schedule", "bundle-0", "@reboot"], "--continuously"),
        (["schedule", "bundle-0", "TZ=Europe/Berlin 0 0 * * *"], "--timezone Europe/Berlin"),
        (["run", "bundle-0", "--env", "=x"], "no name of a variable"),
        (["run", "bundle-0", "--base-image", "nosuch image"], "--base-image"),
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
def test_the_usual_mistakes_are_answered_in_words_of_commands(
    call: Call, folder: MakeFolder, tmp_path: Path, words: list[str], expected: str
) -> None:
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


def test_packaging_that_fails_names_the_option_for_another_index(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    mine = folder({"main.py": "print(1)", "requirements.txt": "no-such-package-here==1.0\n"})
    failed = call("--json", "run", mine, "--index-url", (tmp_path / "index").as_uri())
    told = json.loads(failed.stderr.splitlines()[-1])["error"]
    assert "--index-url" in told["message"]
    assert "index_urls" not in failed.output


def test_an_installation_can_be_given_more_or_less_time(call: Call, folder: MakeFolder) -> None:
    mine = folder({"main.py": "print(1)", "requirements.txt": "no-such-package-here==1.0\n"})
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes calls, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        failed = call("run", mine, "--index-url", url, "--install-timeout", "0.3s")
    assert failed.exit_code == 1
    assert "--install-timeout sets the limit" in failed.stderr
