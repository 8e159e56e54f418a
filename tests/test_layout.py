"""Which package may import which, read from the source; and other rules that every file keeps."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import orchlite

_PACKAGE = Path(orchlite.__file__).parent
_CONTRIBUTING = (_PACKAGE.parent / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")

_MAY_IMPORT = {
    "core": set(),
    "environments": {"core"},
    "schedules": {"core"},
    "runs": {"core"},
    "store": {"core"},
    "bundles": {"core", "environments"},
    "inference": {"core"},
    "operations": {"core", "environments", "schedules", "runs", "store", "bundles", "inference"},
    "engine": {"core", "environments", "schedules", "runs", "store", "bundles", "operations"},
    "client": {"core", "environments", "schedules", "runs", "store", "inference", "operations", "engine"},
    "sdk": {"core", "runs", "inference", "operations", "engine", "client"},
    "node": {"core", "environments", "runs", "store", "operations", "engine"},
    "ray": {"core", "runs"},
    "rest": {"core", "inference", "operations", "engine", "client"},
    "web": {"core", "inference", "operations", "engine", "client"},
    "testing": {"core", "environments", "bundles", "runs", "store", "inference", "engine", "client", "sdk"},
    "cli": {"core", "environments", "schedules", "runs", "operations", "client", "testing", "rest", "web", "ray"},
    "pytest_plugin": {"client", "testing"},
    "__main__": {"cli"},
    "__init__": {"core"},
}
"""The import table: a package imports itself and these. Type-only imports and those inside functions count."""

_RUNNER = "runs/runner/"
"""The program that owns runs: started by path, imported by no other file, and without any of orchlite's."""

_ONLY_IMPORTERS: dict[str, str | tuple[str, ...]] = {
    "click": "cli/",
    "rich": "cli/output",
    "sqlite3": "store/",
    "virtualenv": "environments/virtualenvs",
    "croniter": "schedules/wall_clock",
    "platformdirs": "core/folders",
    "packaging": "environments/pypa",
    "numpy": "inference/libraries",
    "onnxruntime": "inference/libraries",
    "pandas": "inference/libraries",
    "polars": "inference/libraries",
    "pyarrow": "inference/libraries",
    "pytest": "pytest_plugin",
    "fastapi": "rest/",
    "graphql": "rest/",
    "jwt": "rest/",
    "pydantic": "rest/",
    "pydantic_core": "rest/",
    "python_multipart": "rest/",
    "starlette": ("rest/", "web/"),
    "jinja2": "web/rendering",
    "markupsafe": "web/",
    "typing_extensions": "rest/",
    "uvicorn": "rest/",
}
"""Where a third-party package may be imported, so that it can be replaced there; nothing else is imported but the standard library."""

_WITHOUT_EXTRAS = {"cli/__init__", "rest/__init__", "web/__init__"}
"""Imported by name where the extra may be missing, to say so."""

_SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA)\b")
_SAYING_NOTHING = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
_LINES = 400

_FILES = sorted(path.relative_to(_PACKAGE).with_suffix("").as_posix() for path in _PACKAGE.rglob("*.py"))


@cache
def _source(file: str) -> str:
    return (_PACKAGE / f"{file}.py").read_text(encoding="utf-8")


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse(_source(file))


def _import_nodes(file: str) -> Iterator[ast.Import | ast.ImportFrom]:
    tree = _tree(file)
    # The names that a package hands out when they are asked for (PEP 562) are no dependency of its `__init__`.
    nodes = tree.body if file in ("__init__", "sdk/wallaroo/__init__", "testing/__init__") else _statements(tree)
    return (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All statements, also nested ones. An expression, in which none can stand, is not searched: most of a file is in them."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, block, ()) if not isinstance(node, ast.expr) else ():
            if isinstance(child, ast.stmt):
                yield child
            yield from _statements(child)


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


@cache
def _own_imports(file: str) -> frozenset[str]:
    return frozenset(_file_of(name) for name in _imported_names(file) if name.split(".")[0] == "orchlite")


def _foreign(file: str) -> set[str]:
    return {name.split(".")[0] for name in _imported_names(file)} - {"orchlite", "runner"}


def _texts(file: str) -> list[str]:
    return [node.value for node in ast.walk(_tree(file)) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _package(file: str) -> str:
    return file.partition("/")[0]


def test_every_package_is_in_the_table() -> None:
    assert {_package(file) for file in _FILES} == _MAY_IMPORT.keys()


@pytest.mark.parametrize("package", _MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    allowed = {package, "__init__", *_MAY_IMPORT[package]}
    wrong = {
        file: sorted(other for other in _own_imports(file) if _package(other) not in allowed)
        for file in _FILES
        if _package(file) == package
    }
    assert _without_empty(wrong) == {}


def test_contributors_are_shown_this_table() -> None:
    rows = re.findall(r"^\| (\w+) \| ([^|`]+)[^|]*\|$", _CONTRIBUTING.split("## Who may import whom")[1], re.MULTILINE)
    shown = {package: set(re.findall(r"[a-z]+", allowed.partition("(")[0])) for package, allowed in rows if package in _MAY_IMPORT}
    assert shown == {package: allowed for package, allowed in _MAY_IMPORT.items() if not package.startswith("__")}


def test_the_files_that_contributors_are_sent_to_are_there() -> None:
    named = re.findall(rf"`((?:{'|'.join(_MAY_IMPORT)}|tests|\.ci)/[\w/.-]*)`", _CONTRIBUTING)
    places = [
        [_PACKAGE / name, _PACKAGE / f"{name}.py", _PACKAGE / f"{name.rpartition('.')[0]}.py", _PACKAGE.parent / name] for name in named
    ]
    assert len(named) > 20
    assert [name for name, paths in zip(named, places, strict=True) if not any(path.exists() for path in paths)] == []


def test_bundles_knows_environments_only_by_its_requirements() -> None:
    taken = {other for file in _FILES if _package(file) == "bundles" for other in _own_imports(file) if _package(other) == "environments"}
    assert taken == {"environments/requirements"}


def test_no_file_imports_one_that_imports_it() -> None:
    order = TopologicalSorter({file: _own_imports(file) - {file} for file in _FILES}).static_order()
    assert {*order} == {*_FILES}  # or it raises CycleError, which names the cycle


def test_the_runner_imports_itself_and_the_standard_library_only() -> None:
    # It is started by path, where `orchlite` cannot be imported, and calls itself `runner`.
    for file in [file for file in _FILES if file.startswith(_RUNNER)]:
        foreign = {name for name in _imported_names(file) if name.split(".")[0] not in {*sys.stdlib_module_names, "runner"}}
        assert {name for name in foreign if not name.startswith("orchlite.runs.runner.")} == set()


def test_no_other_file_imports_the_runner() -> None:
    wrong = {
        file: sorted(other for other in _own_imports(file) if other.startswith(_RUNNER)) for file in _FILES if not file.startswith(_RUNNER)
    }
    assert _without_empty(wrong) == {}


def _is_importer(file: str, package: str) -> bool:
    found = _ONLY_IMPORTERS.get(package, ())
    places = (found,) if isinstance(found, str) else found
    return file not in _WITHOUT_EXTRAS and any(file == place or (place.endswith("/") and file.startswith(place)) for place in places)


def test_a_third_party_package_is_imported_in_its_one_place() -> None:
    wrong = {file: sorted(top for top in _foreign(file) - sys.stdlib_module_names if not _is_importer(file, top)) for file in _FILES}
    assert _without_empty(wrong) == {}


def test_sql_stands_in_the_store_only() -> None:
    # Texts are looked for only where such a word stands at all.
    files = [file for file in _FILES if not file.startswith("store/") and _SQL.search(_source(file))]
    wrong = {file: [text for text in _texts(file) if _SQL.match(text)] for file in files}
    assert _without_empty(wrong) == {}


def test_a_file_is_short() -> None:
    lines = {file: len(_source(file).splitlines()) for file in _FILES}
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
        assert "subprocess.Popen" in _imported_names("runs/runners")

    def test_sees_imports_inside_functions(self) -> None:
        assert "platformdirs" in _imported_names("core/folders")

    def test_sees_imports_of_modules_from_packages(self) -> None:
        assert {"store/events", "bundles/bundle"} <= _own_imports("store/runs") | _own_imports("operations/preparation")

    def test_sees_relative_imports(self) -> None:
        assert "runs/runner/processes" in _own_imports("runs/runner/run")
