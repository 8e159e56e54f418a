from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.bundles import bundle
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


# --- the program


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        pytest.param({"Main.py": PROGRAM}, "Rename 'Main.py'", id="capital letter"),
        pytest.param({"a/MAIN.PY": PROGRAM}, "Rename 'a/MAIN.PY'", id="capitals in a subfolder"),
        pytest.param({"main.py/": b""}, "folder with that name", id="folder"),
        pytest.param({"main.py/code.py": PROGRAM}, "folder with that name", id="folder with content"),
        pytest.param({"__MACOSX/._main.py": b"\0\5\x16\7", "x": b""}, "macOS", id="only what macOS keeps"),
        pytest.param({"train.py": PROGRAM, "data.csv": b""}, "Rename 'train.py'", id="one other program"),
        pytest.param({"data.csv": b""}, "Add one", id="no program"),
    ],
)
def test_a_bundle_without_a_program_is_refused_with_what_looks_like_one(files: dict[str, bytes], hint: str, tmp_path: Path) -> None:
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
        pytest.param(b"\n\nx = '\xff'\n", None, "syntax error", id="not UTF-8"),
        pytest.param(b"# -*- coding: nonsense -*-\n", None, "syntax error", id="unknown encoding"),
        pytest.param(b"# -*- coding: hex -*-\nx = 1\n", None, "", id="encoding that is none of text"),
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


# --- the requirements


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
