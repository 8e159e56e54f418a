"""The folders and packages of a host that a run sees, and conflicts with them. The host is a virtual environment made for the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import orchlite
from orchlite.environments import host_packages, virtualenvs
from orchlite.environments.builds import Builds
from orchlite.environments.host_packages import HostPackages

_ROOT = Path(orchlite.__file__).parents[1]
_ASK = """
import sys; sys.path.append(sys.argv[1])
import json
from orchlite.environments import host_packages
print(json.dumps(host_packages.find()._asdict()))
"""


class Host:
    """A virtual environment whose interpreter uses orchlite."""

    def __init__(self, folder: Path) -> None:
        with Builds(folder / "host", virtualenvs).building("key", lambda: False) as build:
            self.python = build.create()
            build.finish()
        self.folder = folder
        self.site_packages = next(self.python.parents[1].glob("lib/*/site-packages"))

    def see(self, *options: str, cwd: Path | None = None, script: str = _ASK, **variables: str) -> HostPackages:
        command = [str(self.python), *options, "-c", script, str(_ROOT)]
        done = subprocess.run(command, env={"PATH": os.defpath} | variables, cwd=cwd, capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        return HostPackages(tuple(answer["directories"]), tuple(answer["warnings"]))

    def install_editable(self, name: str, source: Path, *files: str) -> None:
        information = self.site_packages / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (information / "RECORD").write_text("".join(f"{file},,\n" for file in (*files, f"{information.name}/METADATA")))
        (information / "direct_url.json").write_text(json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}}))

    def write(self, name: str, text: str) -> None:
        (self.site_packages / name).write_text(text, encoding="utf-8")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def _package(folder: Path, name: str) -> Path:
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    return folder


def test_a_run_sees_the_hosts_site_packages_and_nothing_else(host: Host) -> None:
    assert host.see() == HostPackages((str(host.site_packages),))


def test_neither_the_working_folder_nor_pythonpath_are_the_hosts_packages(host: Host, tmp_path: Path) -> None:
    named = tmp_path / "lib" / "site-packages"
    named.mkdir(parents=True)
    seen = host.see(cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{named}")
    assert seen == HostPackages((str(host.site_packages),))


def test_a_host_whose_working_folder_was_removed_has_its_site_packages(host: Host, tmp_path: Path) -> None:
    (tmp_path / "removed").mkdir()
    seen = host.see(cwd=tmp_path / "removed", script="import os; os.rmdir(os.getcwd())\n" + _ASK)
    assert seen == HostPackages((str(host.site_packages),))


def test_folders_named_in_pth_files_are_seen_in_the_order_of_the_hosts_path(host: Host, tmp_path: Path) -> None:
    one, two = _package(tmp_path / "one", "first"), _package(tmp_path / "two" / "src", "second")
    host.write("b.pth", f"# comment\n\n{one}\nimport os; os.environ['X'] = '1'\n{tmp_path}/absent\n")
    host.write("a.pth", f"{two.parent}/../two/src\n")
    assert host.see().directories == (str(host.site_packages), str(two), str(one))


def test_an_editable_install_by_pth_file_is_seen_even_from_inside_its_folder(host: Host, tmp_path: Path) -> None:
    source = _package(tmp_path / "project" / "src", "mine")
    host.write("__editable__.mine-1.0.pth", f"{source}\n")
    host.install_editable("mine", source, "__editable__.mine-1.0.pth")
    assert host.see(cwd=source) == HostPackages((str(host.site_packages), str(source)))


def _finder(host: Host, name: str, mapping: str) -> None:
    host.write(f"__editable__.{name}-1.0.pth", f"import __editable___{name}_1_0_finder; __editable___{name}_1_0_finder.install()")
    host.write(
        f"__editable___{name}_1_0_finder.py",
        f"from __future__ import annotations\nMAPPING: dict[str, str] = {mapping}\ndef install():\n    print('executed')\n",
    )
    host.install_editable(name, host.folder / name, f"__editable__.{name}-1.0.pth", f"__editable___{name}_1_0_finder.py")


@pytest.mark.parametrize(
    ("module", "inside", "root"),
    [
        pytest.param("mine", "src/mine", "src", id="package"),
        pytest.param("mine", "mine.py", ".", id="module"),
        pytest.param("spaces.mine", "src/spaces/mine", "src", id="inside a namespace"),
    ],
)
def test_an_editable_install_by_import_hook_is_resolved_to_its_folder(
    host: Host, tmp_path: Path, module: str, inside: str, root: str
) -> None:
    project = tmp_path / "project"
    _finder(host, "mine", repr({module: str(project / inside)}))
    assert host.see("-S", script=_with_site(host)) == HostPackages((str(host.site_packages), str(project / root)))


def _with_site(host: Host) -> str:
    """A `sys.path` as `site` makes it, without executing `.pth` files, so that the test's finder is not imported."""
    return f"import sys; sys.path.append({str(host.site_packages)!r})\n" + _ASK


def test_an_editable_package_in_a_folder_with_another_name_gets_a_warning(host: Host, tmp_path: Path) -> None:
    _finder(host, "mine", repr({"mine": str(tmp_path / "lib")}))
    seen = host.see("-S", script=_with_site(host))
    assert seen.directories == (str(host.site_packages),)
    assert len(seen.warnings) == 1
    assert "'mine' is not visible to runs" in seen.warnings[0]


def test_a_finder_that_cannot_be_parsed_gets_a_warning_and_is_never_executed(host: Host, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    _finder(host, "odd", f"open({str(witness)!r}, 'w')")
    seen = host.see("-S", script=_with_site(host))
    assert [warning for warning in seen.warnings if "'odd_1_0'" in warning] == list(seen.warnings) != []
    assert not witness.exists()


def test_an_editable_install_by_another_tools_hook_gets_a_warning(host: Host, tmp_path: Path) -> None:
    host.write("_meson_editable.pth", "import sys\n")
    host.install_editable("meson_made", tmp_path, "_meson_editable.pth", "_meson_editable_loader.py")
    seen = host.see()
    assert len(seen.warnings) == 1
    assert "'meson_made' is not visible to runs" in seen.warnings[0]


@pytest.mark.parametrize("code", ["import os; os.environ.get('X')", "import\tos"])
def test_a_path_file_that_executes_code_gets_a_warning(host: Host, code: str) -> None:
    host.write("hook.pth", f"# a comment\n{code}\n")
    (warning,) = host.see().warnings
    assert "'hook.pth' executes code at the start of Python, which runs do not" in warning


@pytest.mark.parametrize("name", ["_virtualenv", "~orchlite", "a1_coverage", "pytest-cov", "sphinxcontrib-nspkg"])
def test_a_path_file_whose_code_provides_no_modules_gets_no_warning(host: Host, name: str) -> None:
    host.write(f"{name}.pth", "import os\n")
    assert host.see().warnings == ()


def test_distutils_is_missing_in_runs_only_where_the_standard_library_has_none(host: Host) -> None:
    host.write("distutils-precedence.pth", "import os; os.environ\n")
    assert bool(host.see().warnings) == (sys.version_info >= (3, 12))


def test_a_host_without_site_packages_has_no_folders_and_a_warning(host: Host) -> None:
    seen = host.see("-S")
    assert seen.directories == ()
    assert len(seen.warnings) == 1
    assert "no site-packages" in seen.warnings[0]


def test_a_folder_with_a_colon_in_its_name_gets_a_warning(host: Host, tmp_path: Path) -> None:
    host.write("a.pth", f"{_package(tmp_path / 'a:b', 'first')}\n")
    seen = host.see()
    assert seen.directories == (str(host.site_packages),)
    assert "a:b' is not visible to runs" in seen.warnings[0]


def test_a_package_that_is_installed_while_the_host_runs_is_seen(host: Host, tmp_path: Path) -> None:
    source = _package(tmp_path / "src", "late")
    script = f"""
import sys; sys.path.append(sys.argv[1])
import json
from pathlib import Path
from orchlite.environments import host_packages
before = host_packages.find()
finder = Path({str(host.site_packages)!r}, "__editable___late_finder.py")
finder.write_text("MAPPING = " + repr({{"late": {str(source / "late")!r}}}))
after = host_packages.find()
print(json.dumps({{"directories": [str(before.directories), *after.directories], "warnings": []}}))
"""
    seen = host.see(script=script)
    assert seen.directories == (str((str(host.site_packages),)), str(host.site_packages), str(source))


# --- Conflicts


def _installed(folder: Path, name: str, version: str, *requires: str) -> None:
    information = folder / f"{name}-{version}.dist-info"
    information.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in requires)]
    (information / "METADATA").write_text("\n".join(lines) + "\n\nA description.\nRequires-Dist: nothing>1\n")


def _conflicts(folder: Path, *installed: str) -> tuple[str, ...]:
    return host_packages.conflicts(installed, (str(folder),))


def test_a_host_package_that_needs_another_version_is_named_with_the_installed_one(tmp_path: Path) -> None:
    _installed(tmp_path, "pandas", "2.2.0", "numpy<2", "six")
    assert _conflicts(tmp_path, "numpy==2.4.6", "six==1.17.0") == (
        "host package pandas 2.2.0 needs numpy<2, but the requirements installed numpy 2.4.6",
    )


@pytest.mark.parametrize(
    ("need", "installed"),
    [
        pytest.param("numpy<2", "numpy==1.26.4", id="met"),
        pytest.param("numpy", "numpy==2.0", id="any version"),
        pytest.param("numpy>=2", "numpy==2.1rc1", id="met by a pre-release"),
        pytest.param("numpy<2; python_version < '3'", "numpy==2.0", id="another python"),
        pytest.param("numpy<2; extra == 'old'", "numpy==2.0", id="an extra"),
        pytest.param("numpy<2", "scipy==2.0", id="not installed"),
        pytest.param("numpy<<2", "numpy==2.0", id="unreadable requirement"),
        pytest.param("numpy<2", "numpy==unknown", id="unreadable version"),
    ],
)
def test_a_requirement_that_is_met_or_does_not_apply_is_no_conflict(tmp_path: Path, need: str, installed: str) -> None:
    _installed(tmp_path, "pandas", "2.2.0", need)
    assert _conflicts(tmp_path, installed) == ()


def test_names_are_compared_in_their_canonical_form(tmp_path: Path) -> None:
    _installed(tmp_path, "Some.Host", "1", "Foo_Bar==1")
    assert len(_conflicts(tmp_path, "foo-bar==2")) == 1


def test_a_host_package_that_the_requirements_installed_is_skipped(tmp_path: Path) -> None:
    _installed(tmp_path, "pandas", "2.2.0", "numpy<2")
    assert _conflicts(tmp_path, "numpy==2.4.6", "Pandas==3.0") == ()


def test_of_two_host_packages_with_one_name_only_the_first_on_the_path_counts(tmp_path: Path) -> None:
    _installed(tmp_path / "one", "pandas", "3.0", "numpy>=2")
    _installed(tmp_path / "two", "pandas", "2.2.0", "numpy<2")
    assert host_packages.conflicts(("numpy==2.4.6",), (str(tmp_path / "one"), str(tmp_path / "two"))) == ()


def test_a_package_that_is_added_to_the_host_is_noticed(tmp_path: Path) -> None:
    assert _conflicts(tmp_path, "numpy==2.4.6") == ()
    _installed(tmp_path, "pandas", "2.2.0", "numpy<2")
    os.utime(tmp_path, ns=(1, 1))
    assert len(_conflicts(tmp_path, "numpy==2.4.6")) == 1


def test_a_warning_is_one_printable_line_whatever_the_metadata(tmp_path: Path) -> None:
    _installed(tmp_path, "evil\x1b[31m", "1", "numpy<2")
    (warning,) = _conflicts(tmp_path, "numpy==2.4.6")
    assert warning.isprintable()


def test_a_host_package_whose_metadata_is_not_utf8_is_skipped(tmp_path: Path) -> None:
    _installed(tmp_path, "old", "1", "numpy<2")
    with (tmp_path / "old-1.dist-info" / "METADATA").open("ab") as metadata:
        metadata.write(b"J\xf6rg\n")
    assert _conflicts(tmp_path, "numpy==2.4.6") == ()


def test_versions_are_read_from_the_names_of_folders(tmp_path: Path) -> None:
    for name in ("first/My.Tool_kit-1.0+local.dist-info", "first/old-2.0-py3.11.egg-info", "first/tool", "second/my_tool_kit-9.dist-info"):
        (tmp_path / name).mkdir(parents=True)
    folders = tuple(str(tmp_path / name) for name in ("first", "second", "missing"))
    assert host_packages.versions(folders) == ("my-tool-kit==1.0+local", "old==2.0")
