"""What is read of a bundle's imports: the first place of each unknown module, and whether the program can do without it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from orchlite.bundles import imports
from orchlite.bundles.imports import BundleImports, read_imports
from tests.bundles.test_bundle import zipped

_OPTIONAL = """
try:
    import tried
    from tried_too.part import name
except (ImportError, OSError):
    import instead
else:
    import afterwards
finally:
    import finally_needed
with contextlib.suppress(ModuleNotFoundError):
    import suppressed
try:
    import refused
except ImportError as error:
    raise SystemExit("refused is missing") from error
try:
    import left
except ImportError:
    print("left is missing")
    sys.exit(1)
try:
    import unrelated
except ValueError:
    pass
import needed
try:
    import needed.part
except Exception:
    pass
"""

_SILENT = """
import typing
if typing.TYPE_CHECKING:
    import checked
if sys.version_info < (3, 11):
    import old
elif os.name == "nt":
    import windows
from . import sibling
from .sibling import name
text = '''
import quoted
from quoted import name
'''  # import commented
"""

_ANYWHERE = """
def outer():
    class Inner:
        async def method(self):
            match 1:
                case 1:
                    import a.b.c as d, e; import f
for x in (): from g import (
    h,
)
else: from i \\
    import j
while False: from k import*
with open("x"): import l\\
    as m
"""


def _read(tmp_path: Path, files: Mapping[str, str | bytes]) -> BundleImports:
    contents = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    return read_imports(zipped(tmp_path / "b.zip", contents), next(iter(files)), sys.stdlib_module_names.__contains__)


def _modules(tmp_path: Path, files: Mapping[str, str | bytes]) -> list[str]:
    return [found.module for found in _read(tmp_path, files).imports]


def test_an_import_is_optional_if_the_program_continues_without_it(tmp_path: Path) -> None:
    found = {each.module: each.is_optional for each in _read(tmp_path, {"main.py": _OPTIONAL}).imports}
    needed = ("finally_needed", "refused", "left", "unrelated")
    optional = ("tried", "tried_too", "instead", "afterwards", "suppressed", "needed")
    assert found == {**dict.fromkeys(needed, False), **dict.fromkeys(optional, True)}


def test_imports_for_type_checkers_and_other_platforms_texts_and_relative_imports_do_not_count(tmp_path: Path) -> None:
    assert _modules(tmp_path, {"main.py": _SILENT + "import counted"}) == ["counted"]


def test_imports_are_found_in_any_statement(tmp_path: Path) -> None:
    assert sorted(_modules(tmp_path, {"main.py": _ANYWHERE})) == ["a", "e", "f", "g", "i", "k", "l"]


def test_the_first_place_is_named_and_the_entrypoint_comes_first(tmp_path: Path) -> None:
    files = {"job/main.py": "import json, b\nimport a\nimport b\n", "a_first.py": "import a, c\n", "deep/er/z.py": "import d"}
    found = _read(tmp_path, files).imports
    assert [(each.module, each.file, each.line) for each in found] == [
        ("b", "job/main.py", 1),
        ("a", "job/main.py", 2),
        ("c", "a_first.py", 1),
        ("d", "deep/er/z.py", 1),
    ]


def test_the_bundle_brings_its_files_and_the_folders_that_have_any(tmp_path: Path) -> None:
    brought = ("helper.py", "lib/package/module.py", "fast.cpython-311-x86_64-linux-gnu.so", "data/onnx/model.onnx")
    program = "import helper, lib, package, module, fast, onnx, data"
    assert _modules(tmp_path, {"main.py": program, **dict.fromkeys(brought, "")}) == ["onnx", "data"]


def test_tests_do_not_count_since_no_run_imports_them(tmp_path: Path) -> None:
    tests = ("test_main.py", "main_test.py", "conftest.py", "tests/data.py", "pkg/test/z.py", "setup.py")
    assert _modules(tmp_path, {"main.py": "", **dict.fromkeys(tests, "import pytest"), "latest/x.py": "import y"}) == ["y"]


def test_what_cannot_be_parsed_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    bad: dict[str, str | bytes] = {
        "a.py": "import b a d",
        "n.py": "import \0",
        "l.py": b"# coding: latin-1\nimport latin_\xe9",
        "u.py": b"import \xff",
    }
    nested = "import deep\nx = " + "(" * 300 + ")" * 300
    found = _modules(tmp_path, {"main.py": "import first", **bad, "nested.py": nested, "z.py": "import last"})
    assert found == ["first", "latin_é", "last"]


def test_a_program_that_changes_where_modules_are_found_is_recognized(tmp_path: Path) -> None:
    assert not _read(tmp_path, {"main.py": "import path"}).changes_path
    for text in ("sys.path.insert(0, '/opt')", "run([sys.executable, '-m', 'pip', 'install', 'x'])"):
        assert _read(tmp_path, {"main.py": "", "other.py": text}).changes_path


def test_no_process_is_started_if_every_module_is_known(tmp_path: Path) -> None:
    text = '"""Takes the\nimport of goods\n"""\nimport os, json as j\nfrom collections import abc\n'
    assert list(imports._suspects({"main.py": text.encode()}, {"os", "json", "collections", "of"}.__contains__)) == []


def test_the_scan_of_a_hostile_file_takes_linear_time() -> None:
    for piece in (b":from", b"from ", b"import ", b";import ", b"from\\", b" ", b": "):
        hostile = piece * (256 * 1024 // len(piece))
        assert "last" in set(imports._mentioned(hostile + b"\nimport last\n"))


def test_what_exceeds_the_limits_is_left_out(tmp_path: Path) -> None:
    filler = "#" * (300 * 1024)
    files = {"main.py": "import a" + filler, "b.py": "import b\n" + filler, "large.py": "import c\n" + filler * 4}
    assert _modules(tmp_path, files) == ["a"]
