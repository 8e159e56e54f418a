"""uv in pip's place: what of pip's settings and of our requirement lines means the same to both. Pure rules, no I/O.

uv reads nothing of pip's configuration, and with several indexes it takes the first that has the name where pip takes the best of
all. Where that makes a difference pip is the one to install, unless uv was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

OLDEST = (0, 5)
"""The oldest uv that knows all that it is told here."""

_SOURCES = frozenset({"UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"})
_PASSED = frozenset(
    {
        *("UV_CACHE_DIR", "UV_NO_CACHE", "UV_LINK_MODE", "UV_OFFLINE", "UV_KEYRING_PROVIDER", "UV_INSECURE_HOST", "UV_INDEX_STRATEGY"),
        *("UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "SSL_CLIENT_CERT"),
        *("UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_BUILDS", "UV_CONCURRENT_INSTALLS"),
    }
)
_ALWAYS = {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
_ELSEWHERE = frozenset({"index-url", "extra-index-url", "find-links", "no-index", "cache-dir"})
"""What both installers read in a file of requirements, in the same words; and what is each one's own business."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_TRUE = frozenset({"1", "true", "yes", "on", "t", "y"})


def is_true(value: str) -> bool:
    """As pip reads a switch."""
    return value.lower() in _TRUE


def has_own_sources(environ: Mapping[str, str]) -> bool:
    """Whether uv itself is told by the environment where packages come from."""
    return any(environ.get(name) for name in _SOURCES)


def own_settings(environ: Mapping[str, str], *, sources: bool) -> dict[str, str]:
    """The variables of uv that reach it; those that say where packages come from only with `sources`."""
    named = {name: value for name, value in environ.items() if name in _PASSED or (sources and _is_source(name))}
    return named | _ALWAYS


def translated(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings of pip's, by option, as variables for uv, as far as it can be told. Addresses go by the file of requirements instead."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        found |= _translated(name, value) or {}
    return found


def is_without_loss(settings: Mapping[str, str]) -> bool:
    """Whether uv, told what can be told, would install from the same places as pip."""
    several = "extra-index-url" in settings and not is_true(settings.get("no-index", ""))
    return not several and all(_translated(name, value) is not None for name, value in settings.items())


def accepts(requirements: Iterable[str]) -> bool:
    """Whether uv reads these normalised lines as pip does."""
    lines = tuple(requirements)
    chosen = [line for line in lines if line.startswith(("--only-binary=", "--no-binary="))]
    # An exception to `:all:` is no such thing for uv, and a part of a version has to fit into 64 bits.
    mixed = any(line.endswith(":all:") for line in chosen) and len(chosen) > 1
    return not mixed and not any(re.search(r"\d{19}", re.split(r" --hash=| @ ", line, maxsplit=1)[0]) for line in lines)


def arguments(requirements: Iterable[str]) -> tuple[list[str], list[str]]:
    """Normalised lines as options for uv's command line, and the lines for its file."""
    lines = list(requirements)
    options = ["--prerelease=allow" if line == "--pre" else line for line in lines if line.startswith("-")]
    wanted = [line for line in lines if not line.startswith("-")]
    # As pip: one hash, and every package must have one.
    return options + (["--require-hashes"] if any(" --hash=" in line for line in wanted) else []), wanted


def _is_source(name: str) -> bool:
    # UV_INDEX_NAME_PASSWORD belongs to an index that UV_INDEX names.
    return name in _SOURCES or (name.startswith("UV_INDEX_") and name.endswith(("_USERNAME", "_PASSWORD")))


def _translated(name: str, value: str) -> dict[str, str] | None:
    """None: it cannot be told to uv."""
    if name in _ELSEWHERE:
        return {}
    match name:
        case "cert":
            return {"SSL_CERT_FILE": value}
        case "client-cert":
            return {"SSL_CLIENT_CERT": value}
        case "proxy":
            return dict.fromkeys(_PROXIES, value) if "://" in value else None
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
