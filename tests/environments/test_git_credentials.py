"""Passwords of git+https addresses: git reads them from a file, and its command line does not show them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchlite.environments.git_credentials import split_credentials, write_credentials

_COMMIT = "0" * 40

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def _filled(variables: dict[str, str], home: Path, **question: str) -> dict[str, str]:
    """Ask git for the credentials of an address, as its HTTP transport does."""
    asked = "".join(f"{name}={value}\n" for name, value in question.items())
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_ASKPASS": "", **variables}
    ended = subprocess.run(
        ["git", "credential", "fill"], input=f"{asked}\n", env=env, cwd=home, capture_output=True, text=True, check=False
    )
    return dict(line.split("=", 1) for line in ended.stdout.splitlines())


def _login(variables: dict[str, str], home: Path, host: str, path: str = "r.git") -> tuple[str | None, str | None]:
    found = _filled(variables, home, protocol="https", host=host, path=path)
    return found.get("username"), found.get("password")


@pytest.mark.parametrize(
    ("line", "stripped"),
    [
        (f"x @ git+https://me:pw@h.example/r.git@{_COMMIT}", f"x @ git+https://h.example/r.git@{_COMMIT}"),
        (f"x @ git+https://token@h.example/r.git@{_COMMIT}", f"x @ git+https://h.example/r.git@{_COMMIT}"),
        (f"x @ git+https://me:p@w@h.example:8443/a/r@{_COMMIT}", f"x @ git+https://h.example:8443/a/r@{_COMMIT}"),
        (
            f"x @ git+https://me:pw@h.example/r.git@{_COMMIT}#subdirectory=a ; python_version > '3'",
            f"x @ git+https://h.example/r.git@{_COMMIT}#subdirectory=a ; python_version > '3'",
        ),
        (f"x @ git+https://h.example/r.git@{_COMMIT}", f"x @ git+https://h.example/r.git@{_COMMIT}"),
        ("x @ https://me:pw@h.example/x.whl", "x @ https://me:pw@h.example/x.whl"),
        ("--only-binary=:all:", "--only-binary=:all:"),
    ],
)
def test_lines_lose_the_credentials_of_git_only(line: str, stripped: str) -> None:
    assert split_credentials([line])[0] == [stripped]


def test_no_credentials_make_no_file_and_no_variables(tmp_path: Path) -> None:
    assert write_credentials(tmp_path / "file", split_credentials(["six==1.17.0"])[1]) == {}
    assert list(tmp_path.iterdir()) == []


@needs_git
@pytest.mark.parametrize(
    ("credentials", "login"),
    [
        ("me:pw", ("me", "pw")),
        ("token", ("token", "")),
        ("me:p%40w%2F", ("me", "p@w/")),
        ("me:p:w", ("me", "p:w")),
        ("me:p@w", ("me", "p@w")),
        ("me:$(x)'\"", ("me", "$(x)'\"")),
    ],
)
def test_git_finds_them_in_a_private_file_and_not_in_its_variables(tmp_path: Path, credentials: str, login: tuple[str, str]) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    _, found = split_credentials([f"x @ git+https://{credentials}@h.example/r.git@{_COMMIT}"])
    variables = write_credentials(folder / "file", found)
    assert (folder / "file").stat().st_mode & 0o777 == 0o600
    assert _login(variables, tmp_path, "h.example") == login
    assert _login(variables, tmp_path, "h.example", "a/submodule.git") == login
    assert not any(login[0] in value or (login[1] and login[1] in value) for value in variables.values())


@needs_git
def test_two_repositories_of_one_host_may_have_different_ones(tmp_path: Path) -> None:
    lines = [f"{name} @ git+https://{name}:pw-{name}@h.example/{name}.git@{_COMMIT}" for name in ("a", "b")]
    variables = write_credentials(tmp_path / "file", split_credentials(lines)[1])
    assert _login(variables, tmp_path, "h.example", "a.git") == ("a", "pw-a")
    assert _login(variables, tmp_path, "h.example", "b.git") == ("b", "pw-b")


@needs_git
def test_the_accounts_own_helpers_serve_other_hosts_and_not_these(tmp_path: Path) -> None:
    (tmp_path / ".git-credentials").write_text("https://own:own@h.example\nhttps://own:own@other.example\n")
    (tmp_path / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    _, found = split_credentials([f"x @ git+https://me:pw@h.example/r.git@{_COMMIT}"])
    variables = write_credentials(tmp_path / "file", found)
    assert _login(variables, tmp_path, "h.example") == ("me", "pw")
    assert _login(variables, tmp_path, "other.example") == ("own", "own")
