"""Who may import whom: read from the source, so that a type-only import and one inside a function count as well."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

import orchlite

_PACKAGE = Path(orchlite.__file__).parent

# A file imports from lower layers, and inside its own layer only from files that stand before it; so there is no cycle, either.
_LAYERS = """
words     version __init__ errors status recurrence records replaceable clock
rules     display arguments entry_names cron_text wall_times time_zones schedule slots restarts archive packaging_rules
          requirements base_image uv_rules install_hints bundle_rules
devices   paths bundle packing bundle_files shared_folders installer uv_program host_packages virtual_environment environment environments
          process presence logs task_context store/__init__ store/database
memory    store/migrate store/events store/workspaces store/connections store/orchestrations
          store/tasks store/runs store/upkeep store/search store/memory
hands     open_store ends telling leftovers deletion tidying pruning checking uploads packager one_run killing dispatching pausing scheduler
          backup recovery workers watching submissions lending waiting time_travel engine closing forever
voice     schedules live_status event connection workspace task_run task orchestration search catalogue maintenance client
doors     given_files sdk/finder sdk/__init__ sdk/inline sdk/__main__ inline_run testing measuring tested_runs pytest_plugin
          sdk/wallaroo/__init__ sdk/wallaroo/_surface sdk/wallaroo/_absent sdk/wallaroo/_submodules sdk/wallaroo/_errors
          sdk/wallaroo/_store sdk/wallaroo/_display sdk/wallaroo/_connection sdk/wallaroo/_workspace sdk/wallaroo/_task_run
          sdk/wallaroo/_task sdk/wallaroo/_orchestration sdk/wallaroo/_upload sdk/wallaroo/_client
          rest/refusals rest/requests rest/shapes rest/private_files rest/accounts rest/hosts rest/asking rest/bounded_body
          rest/store_view rest/answers
          rest/routing rest/uploading rest/tasks rest/orchestrations rest/workspaces rest/connections rest/authentication
          rest/graphql_schema rest/graphql_answers rest/graphql rest/credentials rest/asgi rest/server rest/__init__
          cli/output cli/options cli/given cli/orders cli/refusals cli/interrupts cli/resolve cli/shapes cli/packaging cli/listing
          cli/showing cli/logs cli/events cli/bundles cli/running cli/scheduling cli/steering cli/overview
          cli/places cli/hosting cli/upkeep cli/doctor cli/completion cli/program cli/__init__ __main__
"""

# The program that owns runs: started by path, imported by nobody, and knowing nobody.
_RUNNER = [f"runner/{name}" for name in ("__init__", "processes", "log_writer", "host", "ownership", "run", "loop", "start")]

_COMPOSES_DEVICES = "environments"
"""The one device that is made of others: how environments are built, filled and found is too much for one file."""

# The extra `server`.
_REST = {file for file in re.findall(r"\S+", _LAYERS) if file.startswith("rest/")} - {"rest/__init__"}

# The extra `cli`.
_CLI = {file for file in re.findall(r"\S+", _LAYERS) if file.startswith("cli/")} - {"cli/__init__"}

_ONLY_IMPORTERS = {
    "click": _CLI,
    "rich": {"cli/output"},
    "sqlite3": {"store/database"},
    "virtualenv": {"virtual_environment"},
    "croniter": {"wall_times"},
    "platformdirs": {"paths"},
    "packaging": {"packaging_rules"},
    "pytest": {"pytest_plugin"},
    "fastapi": _REST,
    "graphql": _REST,
    "pydantic": _REST,
    "pydantic_core": _REST,
    "python_multipart": _REST,
    "starlette": _REST,
    "typing_extensions": _REST,
    "uvicorn": _REST,
}
"""What is imported in one place, so that it can be replaced there; nothing else but the standard library is imported at all."""

_SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA)\b")
_SAYING_NOTHING = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
_LINES = 400


def _parsed_layers() -> dict[str, list[str]]:
    layers: dict[str, list[str]] = {}
    name = ""
    for line in _LAYERS.strip().splitlines():
        *head, files = re.split(r"\s+", line, maxsplit=1)
        name = head[0] or name
        layers.setdefault(name, []).extend(files.split())
    return layers


_LAYER_OF = {file: layer for layer, files in _parsed_layers().items() for file in files}
_IN_ORDER = [*_LAYER_OF, *_RUNNER]
_FILES = sorted(path.relative_to(_PACKAGE).with_suffix("").as_posix() for path in _PACKAGE.rglob("*.py"))


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((_PACKAGE / f"{file}.py").read_text(encoding="utf-8"))


def _import_nodes(file: str) -> Iterator[ast.Import | ast.ImportFrom]:
    tree = _tree(file)
    # The names that a package hands out when they are asked for (PEP 562) are no dependency of its `__init__`.
    nodes = tree.body if file in ("__init__", "sdk/wallaroo/__init__") else ast.walk(tree)
    return (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


@cache
def _imported_names(file: str) -> tuple[str, ...]:
    """Absolute dotted names: of modules, and of what is taken from them."""
    package = ["orchlite", *file.split("/")[:-1]]
    names: list[str] = []
    for node in _import_nodes(file):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            above = package[: len(package) + 1 - node.level] if node.level else []
            names += [".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names]
    return tuple(names)


def _file_of(name: str) -> str:
    """The file that defines an `orchlite.…` name."""
    path = name.removeprefix("orchlite").removeprefix(".").replace(".", "/")
    candidates = (
        path,
        f"{path}/__init__".removeprefix("/"),
        path.rpartition("/")[0],
        f"{path.rpartition('/')[0]}/__init__".removeprefix("/"),
    )
    return next(candidate for candidate in candidates if candidate in _FILES)


def _own_imports(file: str) -> set[str]:
    return {_file_of(name) for name in _imported_names(file) if name.split(".")[0] == "orchlite"}


def _foreign(file: str) -> set[str]:
    return {name.split(".")[0] for name in _imported_names(file)} - {"orchlite", "runner"}


def _texts(file: str) -> list[str]:
    return [node.value for node in ast.walk(_tree(file)) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_every_file_has_a_layer() -> None:
    assert sorted(_IN_ORDER) == _FILES


def test_a_file_imports_what_stands_before_it() -> None:
    wrong = {file: sorted(_own_imports(file) - set(takewhile(lambda other, file=file: other != file, _IN_ORDER))) for file in _FILES}  # type: ignore[misc]
    assert _without_empty(wrong) == {}


def test_devices_do_not_know_each_other() -> None:
    devices = {file for file in _FILES if _LAYER_OF.get(file) == "devices"}
    wrong = {file: sorted(_own_imports(file) & devices) for file in devices - {_COMPOSES_DEVICES}}
    assert _without_empty(wrong) == {}


@pytest.mark.parametrize("file", _RUNNER)
def test_the_runner_knows_itself_and_the_standard_library_only(file: str) -> None:
    # `runner` is what it calls itself: it is started by path, and orchlite is not there.
    foreign = {name for name in _imported_names(file) if name.split(".")[0] not in {*sys.stdlib_module_names, "runner"}}
    assert {_file_of(name) for name in foreign} <= set(_RUNNER)
    assert {name for name in foreign if not name.startswith("orchlite.runner.")} == set()


def test_nobody_imports_the_runner() -> None:
    wrong = {file: sorted(_own_imports(file) & set(_RUNNER)) for file in set(_FILES) - set(_RUNNER)}
    assert _without_empty(wrong) == {}


def test_what_is_not_ours_is_imported_in_its_one_place() -> None:
    wrong = {file: sorted(top for top in _foreign(file) if file not in _ONLY_IMPORTERS.get(top, {file})) for file in _FILES}
    assert _without_empty(wrong) == {}


def test_nothing_is_imported_that_is_no_dependency() -> None:
    wrong = {file: sorted(_foreign(file) - _ONLY_IMPORTERS.keys() - sys.stdlib_module_names) for file in _FILES}
    assert _without_empty(wrong) == {}


def test_sql_stands_in_the_store_only() -> None:
    wrong = {file: [text for text in _texts(file) if _SQL.match(text)] for file in _FILES if not file.startswith("store/")}
    assert _without_empty(wrong) == {}


def test_a_file_is_short() -> None:
    lines = {file: len((_PACKAGE / f"{file}.py").read_text(encoding="utf-8").splitlines()) for file in _FILES}
    assert {file: count for file, count in lines.items() if count > _LINES} == {}


def test_the_name_of_a_file_says_something() -> None:
    assert [file for file in _FILES if file.rpartition("/")[2] in _SAYING_NOTHING] == []


def test_a_file_says_what_it_owns() -> None:
    assert [file for file in _FILES if not ast.get_docstring(_tree(file))] == []


def _without_empty(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {file: names for file, names in found.items() if names}


class TestTheReader:
    """These tests are worth what `_imported_names` sees."""

    def test_sees_imports_for_types_only(self) -> None:
        assert "subprocess.Popen" in _imported_names("process")

    def test_sees_imports_inside_functions(self) -> None:
        assert "platformdirs" in _imported_names("paths")

    def test_sees_imports_of_modules_from_packages(self) -> None:
        assert {"store/events", "bundle"} <= _own_imports("store/runs") | _own_imports("one_run")

    def test_sees_relative_imports(self) -> None:
        assert "runner/processes" in _own_imports("runner/run")
