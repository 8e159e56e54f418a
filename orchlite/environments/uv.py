"""uv in place of pip: find the program, and decide what of pip's options and of the requirement lines means the same to both.

uv reads none of pip's configuration. With several indexes it takes the first one that has the package, where pip takes the best version
of all. Where such a difference matters pip installs, unless uv was asked for by name.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from orchlite.core.text import mask_userinfo
from orchlite.environments.pip_config import is_true

MINIMUM_VERSION = (0, 5)
"""The oldest uv that knows every option and variable used here."""

_VERSION_SECONDS = 10.0
_INDEX_VARIABLES = frozenset({"UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"})
_PASSED_VARIABLES = frozenset(
    {
        *("UV_CACHE_DIR", "UV_NO_CACHE", "UV_OFFLINE", "UV_KEYRING_PROVIDER", "UV_INSECURE_HOST", "UV_INDEX_STRATEGY"),
        *("UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "SSL_CLIENT_CERT"),
        *("UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_BUILDS", "UV_CONCURRENT_INSTALLS"),
    }
)
# A hard link into uv's cache would let a program that writes into its environment change others. Copies are reflinks where there are any.
_FIXED_VARIABLES = {"UV_LINK_MODE": "copy", "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_NOT_TRANSLATED = frozenset({"index-url", "extra-index-url", "find-links", "no-index", "cache-dir"})
"""Both installers read the first four in the requirements file, in the same words; each has its own cache."""


def find() -> Path | None:
    """Return the uv on the search path, else the one beside this interpreter, whatever its version; None if there is none."""
    from shutil import which

    found = which("uv") or which("uv", path=str(Path(sys.prefix, "bin")))
    return Path(found).absolute() if found else None


def version(program: Path) -> str | None:
    """Return the version that the program reports, or None if it reports none. Runs it once, and again only if the file changes."""
    try:
        status = program.stat()
    except OSError:
        return None
    return _reported_version(program, status.st_mtime_ns, status.st_size)


def is_new_enough(version: str | None) -> bool:
    """Return whether a version, as `version()` returns it, is `MINIMUM_VERSION` or later."""
    return version is not None and tuple(map(int, version.split(".")[:2])) >= MINIMUM_VERSION


@lru_cache(maxsize=4)
def _reported_version(program: Path, _changed_at_ns: int, _size_bytes: int) -> str | None:
    from subprocess import DEVNULL, SubprocessError, run

    env = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    try:
        done = run([program, "--version"], capture_output=True, stdin=DEVNULL, text=True, timeout=_VERSION_SECONDS, env=env, check=True)
    except (OSError, SubprocessError, UnicodeError):
        return None
    found = re.match(r"uv (\d+(?:\.\w+)+)", done.stdout)
    return found[1] if found else None


# --- Variables


def configures_indexes(environ: Mapping[str, str]) -> bool:
    """Return whether uv's own variables say where packages come from."""
    return any(environ.get(name) for name in _INDEX_VARIABLES)


def passed_variables(environ: Mapping[str, str], *, with_indexes: bool) -> dict[str, str]:
    """Return uv's own variables that reach it; those that say where packages come from only `with_indexes`."""
    passed = {name: value for name, value in environ.items() if name in _PASSED_VARIABLES or (with_indexes and _is_index_variable(name))}
    return passed | _FIXED_VARIABLES


def sources(environ: Mapping[str, str], *, with_indexes: bool) -> tuple[str, ...]:
    """Return uv's own variables that say what is installed, not how it is fetched: `name value`, credentials masked, sorted by name."""
    names = sorted((_INDEX_VARIABLES if with_indexes else frozenset()) | {"UV_INDEX_STRATEGY"})
    return tuple(f"{name} {mask_userinfo(environ[name])}" for name in names if environ.get(name))


def first_index(environ: Mapping[str, str]) -> str | None:
    """Return the first index that uv's own variables name, without a name before it; None if they name none."""
    named = (environ.get(name, "").split() for name in ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"))
    found = next((words[0] for words in named if words), None)
    return re.sub(r"\A[\w.-]+=", "", found) if found else None


def translated(options: Mapping[str, str]) -> dict[str, str]:
    """Return pip's options as variables for uv, leaving out those that uv has no equivalent for and those of the requirements file."""
    variables: dict[str, str] = {}
    for name, value in options.items():
        variables |= _variables_for(name, value) or {}
    return variables


def supports_options(options: Mapping[str, str]) -> bool:
    """Return whether uv, given the translated options, installs from the same places as pip."""
    has_several_indexes = "extra-index-url" in options and not is_true(options.get("no-index", ""))
    return not has_several_indexes and all(_variables_for(name, value) is not None for name, value in options.items())


def _is_index_variable(name: str) -> bool:
    # UV_INDEX_<NAME>_PASSWORD belongs to an index that UV_INDEX names.
    return name in _INDEX_VARIABLES or (name.startswith("UV_INDEX_") and name.endswith(("_USERNAME", "_PASSWORD")))


def _variables_for(name: str, value: str) -> dict[str, str] | None:
    """Return the variables for one option of pip; None if uv has no equivalent."""
    if name in _NOT_TRANSLATED:
        return {}
    match name:
        case "cert":
            return {"SSL_CERT_FILE": value}
        case "client-cert":
            return {"SSL_CLIENT_CERT": value}
        case "proxy":
            return dict.fromkeys(_PROXY_VARIABLES, value) if "://" in value else None
        case "trusted-host":
            return {"UV_INSECURE_HOST": value}
        case "timeout":
            return {"UV_HTTP_TIMEOUT": value} if value.isdecimal() else None
        case "retries":
            return {"UV_HTTP_RETRIES": value} if value.isdecimal() else None
        case "no-cache-dir":
            return {"UV_NO_CACHE": "1"} if is_true(value) else {}
        case "keyring-provider":
            return {"subprocess": {"UV_KEYRING_PROVIDER": "subprocess"}, "disabled": {}}.get(value)
        case _:
            return None


# --- Requirement lines


def supports_requirements(requirements: Iterable[str]) -> bool:
    """Return whether uv reads these normalised lines as pip does."""
    lines = tuple(requirements)
    format_options = [line for line in lines if line.startswith(("--only-binary=", "--no-binary="))]
    # uv knows no exception to `:all:`, and every number in a version must fit into 64 bits.
    has_exception = any(line.endswith(":all:") for line in format_options) and len(format_options) > 1
    return not has_exception and not any(re.search(r"\d{19}", re.split(r" --hash=| @ ", line, maxsplit=1)[0]) for line in lines)


def split_options(requirements: Iterable[str]) -> tuple[list[str], list[str]]:
    """Split normalised lines into options for uv's command line and lines for its requirements file."""
    lines = list(requirements)
    options = ["--prerelease=allow" if line == "--pre" else line for line in lines if line.startswith("-")]
    required = [line for line in lines if not line.startswith("-")]
    # As in pip, one hash makes hashes mandatory for every package.
    return options + (["--require-hashes"] if any(" --hash=" in line for line in required) else []), required
