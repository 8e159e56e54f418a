"""The installer: how pip or uv is told to fill an environment. It is run by the runner, never here.

pip lies in one folder of the cache for all environments, and each environment's own interpreter runs it; uv is a program of the
host's. Of the settings that the hosting interpreter has for pip (configuration files, `PIP_*` variables), only those that say *where
packages come from* reach it: a `target`, a `user` or a constraint of the host must not shape an environment that other hosts share.

Addresses, which may hold passwords, go by the file of requirements, which lies in the environment and is gone when that is finished:
neither the processes' environment nor what is written down about a run shows them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from orchlite.core.errors import PackagingFailed
from orchlite.environments import uv_rules

_SOURCES = frozenset({"index-url", "extra-index-url", "no-index"})
_ADDRESSES = _SOURCES | {"find-links"}
_ALLOWED = _ADDRESSES | {
    *("trusted-host", "keyring-provider", "cert", "client-cert", "proxy", "no-proxy-env"),
    *("timeout", "retries", "cache-dir", "no-cache-dir"),
}
_OTHER_NAMES = {"pypi-url": "index-url", "default-timeout": "timeout"}
_SINGLE_PATHS = frozenset({"cert", "client-cert", "cache-dir"})
_HOST_PATHS = frozenset({"cert", "client-cert", "find-links"})

_PASSED = frozenset(
    {
        *("PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME", "NETRC", "LD_LIBRARY_PATH"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
    }
)
_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"})

# `--ignore-installed`: nothing that can be seen from the environment may count as installed.
_OPTIONS = ("--ignore-installed", "--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off")


class InstallPlace(NamedTuple):
    """Where an installation works."""

    python: Path
    """The environment's interpreter."""
    folder: Path
    """The environment's own, empty: for the installer's files."""
    lock: Path
    """To be held (flock, shared) as long as the installer works."""


class InstallOrder(NamedTuple):
    """What a runner needs to know to install into one environment."""

    command: tuple[str, ...]
    working_folder: Path
    """Empty, so that nothing in it can be taken for a package."""
    env: Mapping[str, str]
    """The whole environment of the program."""
    lock: Path
    """To be held (flock, shared) as long as the installer works."""


def identity(wheel: Path) -> str:
    """Name the pip of this wheel with its version, as it goes into an environment's key: `pip 26.3`."""
    name, version, *_ = wheel.name.split("-")
    return f"{name} {version}"


def pip_order(
    program: Path, place: InstallPlace, requirements: tuple[str, ...], settings: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> InstallOrder:
    """Prepare an installation by `program`, the unpacked pip. Once for each place.

    Raises:
        OSError: the folder cannot be written.
    """
    file, empty = _files(place, settings, requirements)
    command = (str(place.python), "-I", "-u", str(program / "pip" / "__pip-runner__.py"), "install", *_OPTIONS, "-r", str(file))
    named = {"PIP_" + name.upper().replace("-", "_"): value for name, value in settings.items() if name not in _ADDRESSES}
    # The null device is pip's own word for "read no configuration file".
    return InstallOrder(command, empty, _passed(environ) | named | {"PIP_CONFIG_FILE": os.devnull}, place.lock)


def uv_order(
    program: Path,
    place: InstallPlace,
    requirements: tuple[str, ...],
    settings: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
    *,
    own_sources: bool = False,
    refresh: bool = False,
) -> InstallOrder:
    """Prepare an installation by `program`, uv. Once for each place.

    `own_sources`: where packages come from is what uv's own variables say, and not pip's settings. `refresh`: ask the index again for
    what was asked a moment ago.

    Raises:
        OSError: the folder cannot be written.
    """
    options, lines = uv_rules.arguments(requirements)
    if own_sources:
        settings = {name: value for name, value in settings.items() if name not in _ADDRESSES}
    file, empty = _files(place, settings, lines)
    options += ["--refresh"] if refresh else []
    command = (str(program), "pip", "install", "--python", str(place.python), *options, "-r", str(file))
    env = _passed(environ) | uv_rules.own_settings(environ, sources=own_sources) | uv_rules.translated(settings)
    return InstallOrder(command, empty, env, place.lock)


def settings(index_urls: tuple[str, ...] = (), environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings of the hosting interpreter's pip that reach the installer, by the option's name.

    `index_urls` replace the configured indexes: the first is the index, the rest are extra.

    Raises:
        PackagingFailed: a configuration file of pip cannot be read.
    """
    allowed = {name: _one_line(name, value) for name, value in _configured(environ) if name in _ALLOWED}
    if index_urls:
        allowed = {name: value for name, value in allowed.items() if name not in _SOURCES} | _indexes(index_urls)
    return allowed


def _indexes(urls: tuple[str, ...]) -> dict[str, str]:
    return {"index-url": urls[0]} | ({"extra-index-url": " ".join(urls[1:])} if urls[1:] else {})


def _files(place: InstallPlace, settings: Mapping[str, str], lines: Iterable[str]) -> tuple[Path, Path]:
    """The file of requirements, and an empty folder to work in."""
    file, empty = place.folder / "requirements.txt", place.folder / "empty"
    empty.mkdir(mode=0o700)
    _write_private(file, "".join(f"{line}\n" for line in (*_address_lines(settings), *lines)))
    return file, empty


def _address_lines(settings: Mapping[str, str]) -> Iterator[str]:
    if uv_rules.is_true(settings.get("no-index", "")):
        yield "--no-index"
    for name in ("index-url", "extra-index-url", "find-links"):
        yield from (f"--{name} {word}" for word in settings.get(name, "").split())


def _passed(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in _PASSED or name.startswith("LC_") or name.lower() in _PROXIES}


def _write_private(file: Path, text: str) -> None:
    # A requirement's URL may hold a password.
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)


def _one_line(name: str, value: str) -> str:
    """As pip wants several values in a variable; relative paths as the host means them, since pip runs in another folder."""
    words = [value] if name in _SINGLE_PATHS else value.split()
    return " ".join(str(Path(word).absolute()) if name in _HOST_PATHS and Path(word).exists() else word for word in words)


# pip's configuration, read by the rules of pip's own `_internal/configuration.py` and `_internal/cli/parser.py`


def _configured(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """All of pip's settings, normalised, in the order in which later ones win; empty ones do not count."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for file in _configuration_files(environ):
        for section, values in _read(file).items():
            sections[section] |= values
    variables = {_normal(name[4:]): value for name, value in environ.items() if name.startswith("PIP_")}
    for values in (*sections.values(), variables):
        yield from ((name, value) for name, value in values.items() if value)


def _normal(name: str) -> str:
    name = name.lower().replace("_", "-").removeprefix("--")
    return _OTHER_NAMES.get(name, name)


def _configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """The files that pip would read, weakest first."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    # A file that is named and exists takes the place of the user's.
    user = [] if named and Path(named).exists() else _user_files(environ)
    files = [*_machine_files(environ), *user, Path(sys.prefix, "pip.conf"), *([Path(named)] if named else [])]
    return [file for file in files if file.is_file()]


def _machine_files(environ: Mapping[str, str]) -> list[Path]:
    if sys.platform == "darwin":
        return [Path("/Library/Application Support/pip/pip.conf")]
    folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    return [Path(folder, "pip", "pip.conf") for folder in folders if folder] + [Path("/etc/pip.conf")]


def _user_files(environ: Mapping[str, str]) -> list[Path]:
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    newer = Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip")
    if sys.platform == "darwin":
        support = home / "Library" / "Application Support" / "pip"
        newer = support if support.is_dir() else home / ".config" / "pip"
    return [home / ".pip" / "pip.conf", newer / "pip.conf"]


def _read(file: Path) -> dict[str, dict[str, str]]:
    """The two sections of a file that `pip install` reads."""
    from configparser import Error, RawConfigParser

    parser = RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (Error, UnicodeError, OSError) as error:
        # Without the cause: its text shows lines of the file, which may hold passwords.
        raise PackagingFailed(
            f"pip's configuration file {str(file)!r} cannot be read ({type(error).__name__}).",
            hint="Correct it, or set PIP_CONFIG_FILE=/dev/null to use none.",
        ) from None
    return {
        section: {_normal(name): value for name, value in parser.items(section)}
        for section in ("global", "install")
        if parser.has_section(section)
    }
