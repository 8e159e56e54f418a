"""The program and the requirements of a bundle: found, checked, and refused with the way out."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.bundles import bundle
from orchlite.bundles.bundle import BundleReport
from orchlite.core.errors import BadBundle, BadRequirement
from orchlite.core.settings import Limits

PROGRAM = b"print(1)\n"


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def refusal(content: bytes, folder: Path) -> BadBundle:
    path = folder / "upload.zip"
    path.write_bytes(content)
    with pytest.raises(BadBundle) as caught:
        bundle.inspect(path, Limits())
    assert str(caught.value).isprintable()
    assert caught.value.hint
    assert [item.name for item in folder.iterdir()] == ["upload.zip"]
    return caught.value


# --- The program


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        pytest.param({"Main.py": PROGRAM}, "Rename 'Main.py'", id="capital letter"),
        pytest.param({"a/MAIN.PY": PROGRAM}, "Rename 'a/MAIN.PY'", id="capitals in a subfolder"),
        pytest.param({"main.py/": b""}, "folder with that name", id="folder"),
        pytest.param({"main.py/code.py": PROGRAM}, "folder with that name", id="folder with content"),
        pytest.param({"__MACOSX/._main.py": b"\0\5\x16\7", "x": b""}, "macOS", id="only metadata of macOS"),
        pytest.param({"train.py": PROGRAM, "data.csv": b""}, "Rename 'train.py'", id="one other program"),
        pytest.param({"data.csv": b""}, "Add one", id="no program"),
    ],
)
def test_a_bundle_without_a_program_is_refused_with_a_hint_at_the_likely_one(files: dict[str, bytes], hint: str, tmp_path: Path) -> None:
    error = refusal(zipped(**files), tmp_path)
    assert error.message == "The bundle has no main.py."
    assert error.details["entry"] == "main.py"
    assert hint in str(error.hint)


@pytest.mark.parametrize(
    ("source", "line", "complaint"),
    [
        pytest.param(b"import os\n\nprint('x'\n", 3, "syntax error", id="syntax error"),
        pytest.param(b"x = 1\nreturn x\n", 2, "syntax error", id="only the compiler sees it"),
        pytest.param(b"x = 1\n\0", 2, "", id="NUL"),
        pytest.param(b"\n\nx = '\xff'\n", 3, "not UTF-8", id="not UTF-8"),
        pytest.param("x = 1\n# Grüße\n".encode("cp1252"), 2, "not UTF-8", id="another encoding in a comment only"),
        pytest.param("# coding: utf_8\n# Grüße\n".encode("latin-1"), 2, "not UTF-8", id="another encoding than the declared UTF-8"),
        pytest.param("x = 1\ny = 2\n# coding: latin-1, für\n".encode("latin-1"), 3, "not UTF-8", id="declared too late"),
        pytest.param("# coding: ascii\n# Grüße\n".encode(), None, "syntax error", id="not the declared ASCII"),
        pytest.param(b"# -*- coding: nonsense -*-\n", None, "syntax error", id="unknown encoding"),
        pytest.param(b"# -*- coding: hex -*-\nx = 1\n", None, "", id="an encoding that is not of text"),
        pytest.param("print(1)\n".encode("utf-16"), None, "", id="UTF-16"),
        pytest.param(b"x = " + b"(" * 100_000, None, "", id="endless brackets"),
        pytest.param(b"x = " + b"-" * 100_000 + b"1", None, "", id="endless signs"),
        pytest.param(b"x" + b".x" * 100_000, None, "nested too deeply", id="endless dots"),
    ],
)
def test_a_program_that_cannot_be_compiled_is_refused_with_the_line(
    source: bytes, line: int | None, complaint: str, tmp_path: Path
) -> None:
    error = refusal(zipped(**{"a/main.py": source}), tmp_path)
    assert error.details["entry"] == "a/main.py"
    assert complaint in error.message
    if line is not None:
        assert error.details["line"] == line
        assert f"line {line}" in error.message


def test_a_host_that_takes_much_memory_has_its_bundles_compiled_as_well() -> None:
    script = """
    host = bytearray(200 * 2**20)
    host[::4096] = b"x" * len(host[::4096])
    from orchlite.bundles.syntax import check_source
    check_source(b"x = " + b"-" * 100_000 + b"1", "main.py")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert "BadBundle: 'main.py' is nested too deeply" in done.stderr


# --- Several programs


def _report(folder: Path, *names: str) -> BundleReport:
    path = folder / "upload.zip"
    path.write_bytes(zipped(**dict.fromkeys(names, PROGRAM)))
    return bundle.inspect(path, Limits())


def test_of_several_programs_the_one_at_the_root_is_run_and_the_others_are_named(tmp_path: Path) -> None:
    report = _report(tmp_path, "a/main.py", "main.py", "b/main.py")
    assert report.entrypoint == "main.py"
    assert report.warnings == ("3 files are named main.py: a run starts 'main.py', not 'a/main.py', 'b/main.py'.",)


def test_of_several_programs_in_folders_the_first_is_run_with_the_way_to_another(tmp_path: Path) -> None:
    report = _report(tmp_path, "b/main.py", "a/main.py")
    assert report.entrypoint == "b/main.py"
    warning = report.warnings[0]
    assert warning.startswith("2 files are named main.py: a run starts 'b/main.py', not 'a/main.py'. Give the folder")


def test_of_many_programs_only_the_first_are_named(tmp_path: Path) -> None:
    [warning] = _report(tmp_path, "main.py", *(f"f{number}/main.py" for number in range(100))).warnings
    assert warning.startswith("101 files")
    assert "and 80 more" in warning


@pytest.mark.parametrize("names", [["main.py"], ["a/main.py"], ["main.py", "a/main.pyc", "a/my_main.py", "__MACOSX/main.py"]], ids=" ".join)
def test_a_single_program_gets_no_warning(tmp_path: Path, names: list[str]) -> None:
    assert not [warning for warning in _report(tmp_path, *names).warnings if "files are named" in warning]


# --- Requirements


@pytest.mark.parametrize(
    ("files", "entry", "complaint"),
    [
        pytest.param(
            {"requirements.txt": b"", "a/requirements.txt": b""}, "a/requirements.txt", "'requirements.txt', 'a/requirements.txt'", id="two"
        ),
        pytest.param(
            {"a/Requirements.TXT": b"", "b/requirements.txt": b""}, "b/requirements.txt", "Requirements.TXT", id="two, whatever the case"
        ),
        pytest.param({"requirements.txt/": b""}, "requirements.txt", "is a folder", id="folder"),
        pytest.param({"a/Requirements.txt/x": b""}, "a/Requirements.txt", "is a folder", id="folder with content"),
    ],
)
def test_requirements_that_are_not_one_file_are_refused(files: dict[str, bytes], entry: str, complaint: str, tmp_path: Path) -> None:
    error = refusal(zipped(**{"main.py": PROGRAM, **files}), tmp_path)
    assert error.details["entry"] == entry
    assert complaint in error.message


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param(lambda: b"a==1\n-r more.txt\n", 2, id="line"),
        pytest.param(lambda: "a==1\n".encode("utf-16"), 1, id="UTF-16"),
        pytest.param(lambda: b"a==1\nb\0\n", 2, id="NUL"),
        pytest.param(lambda: b"#" * (2 << 20), 1, id="too long"),
    ],
)
def test_a_bad_line_of_requirements_refuses_the_bundle(content: Callable[[], bytes], line: int, tmp_path: Path) -> None:
    path = tmp_path / "upload.zip"
    path.write_bytes(zipped(**{"main.py": PROGRAM, "sub/requirements.txt": content()}))
    with pytest.raises(BadRequirement) as caught:
        bundle.inspect(path, Limits())
    assert caught.value.details["line"] == line
    assert caught.value.details["file"] == "sub/requirements.txt"
    assert caught.value.hint
