"""What the ZIP of a Python step requires is read at upload, and must be installed where the step runs."""

from __future__ import annotations

import re
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from orchlite import BadModel
from orchlite.operations.step_requirements import check_installed, read

_NUMPY = version("numpy")


def _zip(**files: str) -> BytesIO:
    content = BytesIO()
    with ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content


def _check(tmp_path: Path, requirements: str) -> None:
    (tmp_path / "step.zip").write_bytes(_zip(**{"requirements.txt": requirements}).getvalue())
    check_installed(tmp_path / "step.zip", "m")


@pytest.mark.parametrize(
    "requirements",
    [
        "",
        f"numpy=={_NUMPY}\n# a comment\nPandas >= 1\n",
        "--extra-index-url https://packages.example/simple\nnumpy",
        "absent-package; python_version < '3'",
        "wallaroo==2025.2.5",
        f"numpy=={_NUMPY} --hash=sha256:{'0' * 64}",
        "--pre\nnumpy",
    ],
)
def test_what_is_installed_is_fine(tmp_path: Path, requirements: str) -> None:
    _check(tmp_path, requirements)


def test_what_is_missing_is_named_with_the_way_out(tmp_path: Path) -> None:
    message = f"'m' requires absent-package==1.0, numpy<1 (installed is {_NUMPY}), which are not installed in this environment. Install"
    with pytest.raises(BadModel, match=re.escape(message)) as refusal:
        _check(tmp_path, "absent_package == 1.0\nnumpy<1\npandas\n")
    assert refusal.value.details == {"model": "m", "requirements": ["absent-package==1.0", "numpy<1"]}


def test_a_run_is_told_to_add_it_to_its_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALLAROO_TASK_ID", "a task")
    with pytest.raises(BadModel, match=r"is not installed in this environment\. Add it to the bundle's requirements\.txt, or change"):
        _check(tmp_path, "absent-package")


def test_what_an_extra_needs_is_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\nRequires-Dist: absent-package>2; extra == 'more'\n"
    (tmp_path / "thing-1.0.dist-info").mkdir()
    (tmp_path / "thing-1.0.dist-info" / "METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(tmp_path)
    _check(tmp_path, "thing==1.0")
    with pytest.raises(BadModel, match="'m' requires absent-package>2, which is"):
        _check(tmp_path, "thing[more]==1.0")


def test_extras_may_need_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {other}[more]; extra == 'more'\n"
        (folder / "METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(tmp_path)
    _check(tmp_path, "one[more]")


def test_the_file_nearest_to_the_root_counts(tmp_path: Path) -> None:
    files = _zip(**{"step/vendored/requirements.txt": "absent-package", "step/requirements.txt": "numpy", "step/step.py": ""})
    assert read(files, "m") == ("numpy",)
    assert read(_zip(**{"step.py": ""}), "m") == ()


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"requirements\.txt of model 'm', line 2: '-r more\.txt' .*Copy the lines of that file") as refusal:
        read(_zip(**{"requirements.txt": "-i https://packages.example/simple\n-r more.txt\n"}), "m")
    assert (refusal.value.details["line"], refusal.value.details["model"]) == (2, "m")


def test_a_zip_that_cannot_be_read_is_refused() -> None:
    content = _zip(**{"requirements.txt": "numpy"}).getvalue()
    with pytest.raises(BadModel, match="The file of model 'm' cannot be unpacked"):
        read(BytesIO(content[:30] + bytes(30) + content[60:]), "m")


def test_a_zip_with_a_name_that_is_no_text_is_refused() -> None:
    content = _zip(**{"\u00e9.txt": ""}).getvalue().replace("\u00e9".encode(), b"\xff\xff")
    with pytest.raises(BadModel, match="The file of model 'm' cannot be unpacked"):
        read(BytesIO(content), "m")


def test_a_python_file_requires_nothing(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text("import absent_package")
    check_installed(tmp_path / "step.py", "m")
