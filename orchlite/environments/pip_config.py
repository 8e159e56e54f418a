"""The hosting interpreter's configuration of pip: files and `PIP_*` variables, by the rules of pip's own `_internal/configuration.py`.

Only options that say *where packages come from* are returned: a `target`, a `user` or a constraint of the host must not shape an
environment that other hosts share.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchlite.core.errors import PackagingFailed
from orchlite.core.files import is_file, is_folder
from orchlite.core.text import mask_userinfo

INDEX_OPTIONS = frozenset({"index-url", "extra-index-url", "no-index"})
ADDRESS_OPTIONS = INDEX_OPTIONS | {"find-links"}
"""Options whose values are addresses, which may hold passwords."""

_OPTIONS = ADDRESS_OPTIONS | {
    *("trusted-host", "keyring-provider", "cert", "client-cert", "proxy", "no-proxy-env"),
    *("timeout", "retries", "cache-dir", "no-cache-dir"),
}
_ALIASES = {"pypi-url": "index-url", "default-timeout": "timeout"}
_SINGLE_VALUES = frozenset({"cert", "client-cert", "cache-dir"})
_RELATIVE_TO_HOST = frozenset({"cert", "client-cert", "find-links"})
_TRUE = frozenset({"1", "true", "yes", "on", "t", "y"})


def options(index_urls: tuple[str, ...] = (), environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the options of the host's pip that reach the installer, by long name without the dashes. Empty values count as not set.

    `index_urls` replace the configured indexes: the first becomes `index-url`, the others `extra-index-url`. Several values of one
    option are separated by spaces.

    Raises:
        PackagingFailed: a configuration file of pip cannot be read.
    """
    found = {name: _one_line(name, value) for name, value in _configured(environ) if name in _OPTIONS}
    if index_urls:
        found = {name: value for name, value in found.items() if name not in INDEX_OPTIONS} | _indexes(index_urls)
    return found


def sources(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return the options that say what is installed, not how it is fetched: `name value`, credentials masked, in a fixed order.

    A password that changes is no other index.
    """
    names = {"no-index", "find-links"} if is_true(options.get("no-index", "")) else ADDRESS_OPTIONS - {"no-index"}
    return tuple(f"{name} {_comparable(options[name])}" for name in sorted(names) if name in options)


def _comparable(value: str) -> str:
    return "" if is_true(value) else " ".join(word.rstrip("/") for word in mask_userinfo(value).split())


def default_index(wheel: Path) -> str | None:
    """Return the index that pip, in this wheel, uses where none is configured; None if it does not say. Runs pip's own module: 0.2 s."""
    from subprocess import DEVNULL, SubprocessError, run

    program = "import sys; sys.path.insert(0, sys.argv[1]); from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    try:
        command = [sys.executable, "-I", "-S", "-c", program, str(wheel)]
        done = run(command, capture_output=True, text=True, stdin=DEVNULL, timeout=10, check=True)
    except (OSError, SubprocessError, UnicodeError):
        return None
    return done.stdout.strip() or None


def is_true(value: str) -> bool:
    """Return whether pip takes the value of a flag, such as `no-index`, as set."""
    return value.lower() in _TRUE


def _indexes(urls: tuple[str, ...]) -> dict[str, str]:
    return {"index-url": urls[0]} | ({"extra-index-url": " ".join(urls[1:])} if urls[1:] else {})


def _one_line(name: str, value: str) -> str:
    """Join several values as pip wants them in a variable; make paths absolute, since the installer has another working folder."""
    words = [value] if name in _SINGLE_VALUES else value.split()
    return " ".join(str(Path(word).absolute()) if name in _RELATIVE_TO_HOST and _exists(word) else word for word in words)


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - as pip: False below a folder that this account may not enter


def _configured(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield all of pip's options with normalised names; of two with one name the later wins."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for file in _files(environ):
        for section, values in _read(file).items():
            sections[section] |= values
    variables = {_normalised(name[4:]): value for name, value in environ.items() if name.startswith("PIP_")}
    for values in (*sections.values(), variables):
        yield from ((name, value) for name, value in values.items() if value)


def _normalised(name: str) -> str:
    name = name.lower().replace("_", "-").removeprefix("--")
    return _ALIASES.get(name, name)


def _files(environ: Mapping[str, str]) -> list[Path]:
    """Return the files that pip would read, in ascending precedence."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    # pip reads PIP_CONFIG_FILE, if it exists, in place of the user's files.
    user = [] if named and _exists(named) else _user_files(environ)
    files = [*_global_files(environ), *user, Path(sys.prefix, "pip.conf"), *([Path(named)] if named else [])]
    return [file for file in files if is_file(file)]


def _global_files(environ: Mapping[str, str]) -> list[Path]:
    if sys.platform == "darwin":
        return [Path("/Library/Application Support/pip/pip.conf")]
    folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    return [Path(folder, "pip", "pip.conf") for folder in folders if folder] + [Path("/etc/pip.conf")]


def _user_files(environ: Mapping[str, str]) -> list[Path]:
    try:
        home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    except RuntimeError:
        return []  # the account has no home folder
    current = Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip")
    if sys.platform == "darwin":
        support = home / "Library" / "Application Support" / "pip"
        current = support if is_folder(support) else home / ".config" / "pip"
    return [home / ".pip" / "pip.conf", current / "pip.conf"]


def _read(file: Path) -> dict[str, dict[str, str]]:
    """Return the options of a file by section: `global` and `install`, the two that `pip install` reads."""
    from configparser import Error, RawConfigParser

    parser = RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (Error, UnicodeError, OSError) as error:
        # Without the cause: its message quotes lines of the file, which may hold passwords.
        raise PackagingFailed(
            f"pip's configuration file {str(file)!r} cannot be read ({type(error).__name__}).",
            hint="Correct it, or set PIP_CONFIG_FILE=/dev/null to use none.",
        ) from None
    return {
        section: {_normalised(name): value for name, value in parser.items(section)}
        for section in ("global", "install")
        if parser.has_section(section)
    }
