"""The commands with which pip or uv installs into an environment. A runner executes them; nothing is executed here.

pip is unpacked once per cache and run by each environment's own interpreter; uv is a program of the host. Addresses, which may contain
passwords, are only in the requirements file, and passwords for git in a file beside it. Both are in the environment's folder, and are
removed when the build is finished. Neither a command line nor the process's environment shows them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from orchlite.core.files import private_opener
from orchlite.environments import uv
from orchlite.environments.git_credentials import split_credentials, write_credentials
from orchlite.environments.pip_config import ADDRESS_OPTIONS, is_true

_PASSED_VARIABLES = frozenset(
    {
        *("PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME", "NETRC", "LD_LIBRARY_PATH"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
    }
)
_PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"})

# `--ignore-installed`: packages of the host that the environment can see must not count as installed.
_PIP_FLAGS = ("--ignore-installed", "--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off")


class InstallTarget(NamedTuple):
    """The environment to install into."""

    python: Path
    """Its interpreter."""
    folder: Path
    """An empty folder of its own, for the installer's files."""
    lock: Path
    """The file to lock (flock, shared) while the installer works."""
    constraints: tuple[str, ...] = ()
    """The only versions to install of these packages, `name==version`, if they are needed at all."""


class InstallCommand(NamedTuple):
    """A process that installs into one environment."""

    args: tuple[str, ...]
    working_folder: Path
    """Empty, so that no file in it is taken for a package."""
    env: Mapping[str, str]
    """The process's whole environment."""
    lock: Path
    """The file to lock (flock, shared) while the process runs."""


def pip_identity(wheel: Path) -> str:
    """Return name and version of a wheel of pip, as they enter an environment's key: `pip 26.3`."""
    name, version, *_ = wheel.name.split("-")
    return f"{name} {version}"


def pip_command(
    program: Path, target: InstallTarget, requirements: tuple[str, ...], options: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> InstallCommand:
    """Write the installer's files and return the command for `program`, the folder of the unpacked pip. Call it once per target.

    `options` are those that `pip_config.options` returns.

    Raises:
        OSError: the target's folder cannot be written.
    """
    files, empty, git_variables = _write_files(target, options, requirements)
    args = (str(target.python), "-I", "-B", "-u", str(program / "pip" / "__pip-runner__.py"), "install", *_PIP_FLAGS, *files)
    variables = {"PIP_" + name.upper().replace("-", "_"): value for name, value in options.items() if name not in ADDRESS_OPTIONS}
    # The null device is pip's own value for "read no configuration file".
    return InstallCommand(
        args, empty, _passed_variables(environ) | git_variables | variables | {"PIP_CONFIG_FILE": os.devnull}, target.lock
    )


def uv_command(
    program: Path,
    target: InstallTarget,
    requirements: tuple[str, ...],
    options: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
    *,
    uv_indexes: bool = False,
    refresh: bool = False,
) -> InstallCommand:
    """Write the installer's files and return the command for `program`, uv. Call it once per target.

    `uv_indexes`: uv's own variables say where packages come from, instead of pip's `options`. `refresh`: ask the index again instead of
    using uv's cache of its responses.

    Raises:
        OSError: the target's folder cannot be written.
    """
    flags, lines = uv.split_options(requirements)
    if uv_indexes:
        options = {name: value for name, value in options.items() if name not in ADDRESS_OPTIONS}
    files, empty, git_variables = _write_files(target, options, lines)
    flags += ["--compile-bytecode", *(["--refresh"] if refresh else [])]  # the environment is read-only to what runs in it
    args = (str(program), "pip", "install", "--python", str(target.python), *flags, *files)
    env = _passed_variables(environ) | git_variables | uv.passed_variables(environ, with_indexes=uv_indexes) | uv.translated(options)
    return InstallCommand(args, empty, env, target.lock)


def _write_files(target: InstallTarget, options: Mapping[str, str], lines: Iterable[str]) -> tuple[tuple[str, ...], Path, dict[str, str]]:
    """Write the files of requirements and constraints and the passwords for git, and make an empty working folder.

    Return the arguments that name the two files, the folder, and the variables for git.
    """
    lines, credentials = split_credentials(lines)
    file, empty = target.folder / "requirements.txt", target.folder / "empty"
    empty.mkdir(mode=0o700)
    with open(file, "x", encoding="utf-8", opener=private_opener) as requirements:
        requirements.writelines(f"{line}\n" for line in (*_address_lines(options), *lines))
    named: tuple[str, ...] = ("-r", str(file))
    if target.constraints:
        constraints = target.folder / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in target.constraints), encoding="utf-8")
        named += ("-c", str(constraints))
    return named, empty, write_credentials(target.folder / "git-credentials", credentials)


def _address_lines(options: Mapping[str, str]) -> Iterator[str]:
    if is_true(options.get("no-index", "")):
        yield "--no-index"
    for name in ("index-url", "extra-index-url", "find-links"):
        yield from (f"--{name} {word}" for word in options.get(name, "").split())


def _passed_variables(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name in _PASSED_VARIABLES or name.startswith("LC_") or name.lower() in _PROXY_VARIABLES
    }
