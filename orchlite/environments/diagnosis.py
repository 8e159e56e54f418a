"""Why an installation failed, in words: pure rules that read what pip and uv print. Where none of them fits, nothing is guessed.

The wording of both installers is theirs to change, so a rule that no longer fits must only cost its sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

_NAMED_VERSIONS = 8
_LOOKED_AT_CHARACTERS = 1024 * 1024
# It begins where a word does: tried at each letter of a long word, the search would take the square of its length.
_NAME = r"(?<![\w.=-])[A-Za-z0-9][\w.-]*+"
_ELSEWHERE = "name another index with index_urls= or in pip's configuration, or a folder of wheels as find-links there"
_SPELLING = "Check the spelling"
_CONTRADICTION = "The requirements contradict each other: no versions of all of them fit together. The lines below name those that clash."


class _Said(NamedTuple):
    """What the installer printed, and for which Python it was to install."""

    text: str
    python: str
    indexes: str
    """The addresses that it looked in; empty where nobody says."""

    def find(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.text)


def explanation(lines: Sequence[str], python: str, indexes: str = "") -> str | None:
    """Say what went wrong and the way out, or None.

    `python` is the version to install for, e.g. `3.11`; `indexes` the addresses of the package indexes, where they are known.

    What it quotes is as the lines have it: the caller masks passwords.
    """
    text = "\n".join(lines)[-_LOOKED_AT_CHARACTERS:]
    found = re.search(r"Looking in indexes: (.+)", text)
    said = _Said(text, python, found[1] if found else indexes)
    return next((sentence for rule in _RULES for sentence in rule(said)), None)


def _disk(said: _Said) -> Iterator[str]:
    if said.find(r"No space left on device|Errno 28\b|os error 28\b|Disk quota exceeded"):
        yield "The disk is full. Free some space; ORCHLITE_CACHE names where environments lie, TMPDIR where packages are built."


def _git(said: _Said) -> Iterator[str]:
    if said.find(r"Cannot find command 'git'|Git executable not found"):
        yield "A requirement is a git link, and there is no git here. Install git, or require a released version."


def _login(said: _Said) -> Iterator[str]:
    patterns = (r"An index URL \((?P<where>\S+)\) could not be queried", r"Credentials not correct for (?P<where>\S+)")
    found = next((match for pattern in patterns if (match := said.find(pattern))), None)
    if found:
        yield f"{found['where']} refuses the login, or wants one. Write user and password into the index's address, or into ~/.netrc."


def _certificate(said: _Said) -> Iterator[str]:
    if said.find(r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate"):
        yield (
            f"The certificate of {_host(said)} is not trusted here. Name your own certificates with SSL_CERT_FILE, or as cert in pip's"
            " configuration."
        )


def _network(said: _Said) -> Iterator[str]:
    lost = said.find(r"connection-failed|error sending request for url|Max retries exceeded|fatal: unable to access")
    # A lost connection that was tried again is no reason, unless nothing was found at all.
    if lost or (said.find("connection broken by") and said.find(r"from versions: none")):
        yield f"{_host(said)} could not be reached. Without a network, {_ELSEWHERE}."


def _host(said: _Said) -> str:
    url = r"https?://(?:[^/\s@]*@)?([^/\s:)'`]+)"
    patterns = (r"host='([^']+)'", r"Failed to connect to (\S+) while", rf"Failed to fetch: {url}", rf"unable to access '{url}", url)
    return next((found[1] for pattern in patterns if (found := said.find(pattern))), "The index")


def _hashes(said: _Said) -> Iterator[str]:
    if said.find(r"DO NOT MATCH THE HASHES|Hash mismatch for"):
        yield "A file is not the one that a --hash was written for. Where the index is to be trusted, write the hashes anew."
    elif said.find(r"--require-hashes"):
        yield "Where one requirement has a --hash, all must have one and a version with ==, base images and what they require included."


def _python_version(said: _Said) -> Iterator[str]:
    if found := said.find(rf"does not satisfy Python(?P<needed>\S+) and (?P<what>{_NAME}(?:==\S+)?) depends"):
        yield f"{found['what']} does not support this Python ({said.python}): it wants {found['needed']}. Require another version of it."
    missing, ignored = _missing(said), said.find(r"require a different python version: (?P<listed>.+)")
    if missing and ignored:
        needed = re.search(rf"(?<!\S){re.escape(missing.version)} Requires-Python (?P<needed>[^;]+)", ignored["listed"])
        wants = f": it wants {needed['needed']}" if missing.version and needed else ""
        yield f"{missing.requirement} does not support this Python ({said.python}){wants}. {_choice(missing.versions, 'Versions that do')}"


def _no_wheel(said: _Said) -> Iterator[str]:
    if found := said.find(rf"(?P<what>{_NAME}(?:==\S+)?) has no (?:usable wheels|wheels with)"):
        yield f"{found['what']} has no wheel for this Python ({said.python}) and platform. Require a version that has one."
    patterns = (
        rf"Failed to build `(?P<name>{_NAME})",
        rf"Failed (?:building wheel for|to build) '?(?P<name>{_NAME})(?='?(?:\s|$))",
        rf"Encountered error while [^\n]*\n╰─> (?P<name>{_NAME})",
        rf"Failed to build installable wheels for some pyproject\.toml based projects[^\n]*?\(?(?P<name>{_NAME})\)?$",
    )
    found = next((match for pattern in patterns if (match := said.find(pattern))), None)
    if found:
        yield (
            f"{found['name']} has no wheel for this Python ({said.python}) in that version, and building it from source failed. Require a"
            f" version that has one (`pip index versions {found['name']} --only-binary=:all:` lists them), or install what its build needs."
        )


def _conflict(said: _Said) -> Iterator[str]:
    if said.find(r"ResolutionImpossible|, which are incompatible|we can conclude that(?:(?!we can conclude)[^\n])* are incompatible"):
        yield _CONTRADICTION


def _no_version(said: _Said) -> Iterator[str]:
    missing = _missing(said)
    if missing and missing.versions:
        yield f"There is no {missing.requirement} for this Python ({said.python}). {_choice(missing.versions, 'There are')}"
    elif found := said.find(rf"only (?P<have>{_NAME}\S*) (?:is|are) available and you require (?P<want>[^\s,]+)"):
        yield f"There is no {found['want']}: only {found['have']} is there. Require one of these."
    elif found := said.find(r"there is no version of (?P<want>[^\s,]+)"):
        yield f"There is no {found['want']}. Require another version; `pip index versions` lists them."


def _no_package(said: _Said) -> Iterator[str]:
    where = said.indexes or "the package index"
    if found := said.find(rf"Because (?P<name>{_NAME}) was not found in the "):
        yield f"There is no package {found['name']} on {where}. {_SPELLING}, or {_ELSEWHERE}."
    elif missing := _missing(said):
        yield (
            f"Nothing on {where} fits {missing.requirement}: there is no such package, or no file of it for this Python ({said.python}),"
            f" or the index did not answer. {_SPELLING}, or {_ELSEWHERE}."
        )


def _no_solution(said: _Said) -> Iterator[str]:
    # Where nothing is missing that a rule before would have named, what is there does not fit together.
    if said.find(r"ecause you require [^\n]{1,2000}, we can conclude that your requirements are unsatisfiable"):
        yield _CONTRADICTION


class _Missing(NamedTuple):
    requirement: str
    version: str
    """The one that was asked for; empty where it was a range."""
    versions: tuple[str, ...]
    """Those that there are for this Python, oldest first."""


def _missing(said: _Said) -> _Missing | None:
    want = r"(?P<want>(?:(?!satisfies the requirement).)+?)"
    found = said.find(rf"satisfies the requirement {want} \((?:from [^()]*\(line \d+\)\) \()?from versions: (?P<have>[^)\n]*)\)")
    if found is None:
        return None
    versions = tuple(re.split(r",\s*", found["have"])) if found["have"] not in ("none", "") else ()
    exact = re.fullmatch(r"[^=<>~!]+===?([^\s,;]+).*", found["want"])
    return _Missing(found["want"], exact[1] if exact else "", versions)


def _choice(versions: tuple[str, ...], begin: str) -> str:
    if not versions:
        return "None of its versions does."
    if len(versions) <= _NAMED_VERSIONS:
        return f"{begin}: {', '.join(versions)}."
    return f"{begin}: {versions[0]} (the oldest), …, {', '.join(versions[-_NAMED_VERSIONS + 2 :])} (the newest)."


# What is looked at first explains what comes later: without a network there is no package, either.
_RULES: tuple[Callable[[_Said], Iterator[str]], ...] = (
    *(_disk, _git, _login, _certificate, _network, _hashes),
    *(_python_version, _no_wheel, _conflict, _no_version, _no_package, _no_solution),
)
