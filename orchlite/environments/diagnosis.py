"""Explain why an installation failed, from what pip or uv printed. Pure rules; if none matches, nothing is guessed.

Both installers may reword their messages at any time, so a rule that no longer matches must cost nothing but its explanation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from orchlite.environments import pin_sets

_LISTED_VERSIONS = 8
_EXAMINED_CHARACTERS = 1024 * 1024
# Starts only where a word starts: tried at each letter of a long word, a search would take quadratic time.
_NAME = r"(?<![\w.=-])[A-Za-z0-9][\w.-]*+"
_ELSEWHERE = (
    "name another index (index_urls in Python, --index-url on the command line), or a folder of wheels as find-links in pip's configuration"
)
"""Both spellings: the explanation is stored, and read through any interface."""
_SPELLING = "Check the spelling"
_UNSATISFIABLE = r"ecause you require [^\n]{1,2000}, we can conclude that your requirements are unsatisfiable"
CONTRADICTION = "The requirements contradict each other: no set of versions meets all of them. The lines below name those that conflict."


class _Output(NamedTuple):
    """What the installer printed, and what it was run with."""

    text: str
    python: str
    indexes: str
    """The addresses of its indexes; empty if unknown."""
    requirements: Sequence[str]
    """The lines that it was to install."""

    def find(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.text)


def explain(lines: Sequence[str], python: str, indexes: str = "", requirements: Sequence[str] = ()) -> str | None:
    """Return what went wrong and a way out, in one to four sentences, or None if no rule matches.

    `lines` are the installer's output; only the last MiB is examined. `python` is the version to install for, e.g. `3.11`; `indexes` are
    the addresses of the package indexes, if known; `requirements` are the normalised lines to install. The result quotes the lines as they
    are: the caller masks passwords.
    """
    text = "\n".join(lines)[-_EXAMINED_CHARACTERS:]
    found = re.search(r"Looking in indexes: (.+)", text)
    output = _Output(text, python, found[1] if found else indexes, requirements)
    rule, explanation = next(((rule, sentence) for rule in _RULES for sentence in rule(output)), (None, None))
    return explanation + _other_pins(output, explanation) if explanation and rule in _ABOUT_FILES else explanation


def _disk(output: _Output) -> Iterator[str]:
    if output.find(r"No space left on device|Errno 28\b|os error 28\b|Disk quota exceeded"):
        yield "The disk is full. Free some space; ORCHLITE_CACHE is the folder of environments, TMPDIR the one in which packages are built."


def _git(output: _Output) -> Iterator[str]:
    if output.find(r"Cannot find command 'git'|Git executable not found"):
        yield "A requirement is a git link, and git is not installed. Install it, or require a released version."


def _authentication(output: _Output) -> Iterator[str]:
    patterns = (r"An index URL \((?P<where>\S+)\) could not be queried", r"Credentials not correct for (?P<where>\S+)")
    found = next((match for pattern in patterns if (match := output.find(pattern))), None)
    if found:
        yield f"{found['where']} refuses the login, or requires one. Write user and password into the index's address or ~/.netrc."


def _certificate(output: _Output) -> Iterator[str]:
    if output.find(r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate"):
        yield (
            f"The certificate of {_host(output)} is not trusted. Name your own certificates with SSL_CERT_FILE, or as cert in pip's"
            " configuration."
        )


def _network(output: _Output) -> Iterator[str]:
    lost = output.find(r"connection-failed|error sending request for url|Max retries exceeded|fatal: unable to access")
    # A lost connection that was retried is not the reason, unless no version was found at all.
    if lost or (output.find("connection broken by") and output.find(r"from versions: none")):
        yield f"{_host(output)} could not be reached. Without a network, {_ELSEWHERE}."


def _host(output: _Output) -> str:
    url = r"https?://(?:[^/\s@]*@)?([^/\s:)'`]+)"
    patterns = (r"host='([^']+)'", r"Failed to connect to (\S+) while", rf"Failed to fetch: {url}", rf"unable to access '{url}", url)
    return next((found[1] for pattern in patterns if (found := output.find(pattern))), "The index")


def _link(output: _Output) -> Iterator[str]:
    if found := output.find(
        r"HTTP error (?P<code>\d+) while getting (?P<url>\S+)|\((?P<status>\d{3}) [^()]*\) for url \((?P<address>[^\s)]+)"
    ):
        yield f"{found['url'] or found['address']} responds with {found['code'] or found['status']}. Check the address."


def _broken(output: _Output) -> Iterator[str]:
    name = rf"(?P<name>{_NAME})"
    patterns = (rf"Wheel '{name}' located at \S.* is invalid", rf"Because {name}(?:==\S+)? has an invalid package format")
    found = next((match for pattern in patterns if (match := output.find(pattern))), None)
    if found:
        yield f"The file of {found['name']} is damaged. Require another version, or have it uploaded or built again."
    elif found := output.find(r"Failed to read metadata: (?P<url>\S+)\n.*(?:zip file|unexpected header)"):
        yield f"{found['url']} is damaged: it is no wheel."


def _uv_link(output: _Output) -> Iterator[str]:
    if found := output.find(rf"Package `(?P<name>{_NAME})` (?:was included as|attempted to resolve via) (?:a )?URL"):
        yield (
            f"A package depends on {found['name']} by a link, which uv accepts only for packages that are required by the same link. Write"
            f" {found['name']} @ LINK into requirements.txt, or use installer='pip'."
        )


def _hashes(output: _Output) -> Iterator[str]:
    if output.find(r"DO NOT MATCH THE HASHES|Hash mismatch for"):
        yield "A file does not match its --hash. If the index can be trusted, update the hashes."
    elif output.find(r"--require-hashes"):
        yield "If one requirement has a --hash, all need one and a version with ==, including those of base images and dependencies."


def _python_version(output: _Output) -> Iterator[str]:
    if found := output.find(rf"does not satisfy Python(?P<needed>\S+) and (?P<what>{_NAME}(?:==\S+)?) depends"):
        yield f"{found['what']} does not support this Python ({output.python}): it needs {found['needed']}. Require another version of it."
    if found := output.find(rf"Package '(?P<what>{_NAME})' requires a different Python: \S+ not in '(?P<needed>[^']+)'"):
        yield f"{found['what']} does not support this Python ({output.python}): it needs {found['needed']}. Require another version of it."
    if found := output.find(
        rf"Packages require a different Python[^\n]*\n'(?P<needed>[^']+)' \(required by (?P<name>{_NAME}) (?P<version>\S+)"
    ):
        yield f"{found['name']} {found['version']} does not support this Python ({output.python}): it needs {found['needed']}."
    missing, ignored = _missing(output), output.find(r"require a different python version: (?P<listed>.+)")
    if missing and ignored:
        needed = re.search(rf"(?<!\S){re.escape(missing.version)} Requires-Python (?P<needed>[^;]+)", ignored["listed"])
        needs = f": it needs {needed['needed']}" if missing.version and needed else ""
        others = _available(missing.versions, "Versions that do")
        yield f"{missing.requirement} does not support this Python ({output.python}){needs}. {others}"


def _no_wheel(output: _Output) -> Iterator[str]:
    if found := output.find(r"ERROR: (?P<file>\S+\.whl) is not a supported wheel on this platform"):
        yield f"{found['file']} is for another Python or platform than this ({output.python}). Link to a wheel that fits, or to the source."
    if found := output.find(rf"(?P<what>{_NAME}(?:==\S+)?) has no (?:usable wheels|wheels with)"):
        yield f"{found['what']} has no wheel for this Python ({output.python}) and platform. Require a version that has one."
    patterns = (
        rf"Failed to build `(?P<name>{_NAME})",
        rf"Failed (?:building wheel for|to build) '?(?P<name>{_NAME})(?='?(?:\s|$))",
        rf"Encountered error while [^\n]*\n╰─> (?P<name>{_NAME})",
        rf"Failed to build installable wheels for some pyproject\.toml based projects[^\n]*?\(?(?P<name>{_NAME})\)?$",
    )
    found = next((match for pattern in patterns if (match := output.find(pattern))), None)
    if found:
        yield (
            f"{found['name']} has no wheel for this Python ({output.python}) in that version, and building it from source failed. Require a"
            f" version that has one (`pip index versions {found['name']} --only-binary=:all:` lists them), or install what its build needs."
        )


def _conflict(output: _Output) -> Iterator[str]:
    if output.find(r"ResolutionImpossible|, which are incompatible|we can conclude that(?:(?!we can conclude)[^\n])* are incompatible"):
        yield CONTRADICTION


def _no_version(output: _Output) -> Iterator[str]:
    missing = _missing(output)
    if missing and missing.versions:
        fitting = _fitting(missing)
        if not fitting:
            yield f"There is no {missing.requirement} for this Python ({output.python}). {_available(missing.versions, 'There are')}"
        elif all(_is_prerelease(version) for version in fitting):
            way_out = "Require one of them with ==, or write --pre on a line of its own."
            yield f"Only pre-releases fit {missing.requirement}. {_available(fitting, 'There are')} {way_out}"
    elif found := output.find(rf"only (?P<have>{_NAME}\S*) (?:is|are) available and you require (?P<want>[^\s,]+)"):
        yield f"There is no {found['want']}: only {found['have']} is available. Require one of these."
    elif found := output.find(r"there is no version of (?P<want>[^\s,]+)"):
        yield f"There is no {found['want']}. Require another version."


def _no_package(output: _Output) -> Iterator[str]:
    where = output.indexes or "the package index"
    if found := output.find(rf"Because (?P<name>{_NAME}) was not found in the "):
        yield f"There is no package {found['name']} on {where}. {_SPELLING}, or {_ELSEWHERE}."
    elif (missing := _missing(output)) and not missing.versions:
        yield (
            f"Nothing on {where} fits {missing.requirement}: there is no such package, or no file of it for this Python ({output.python}),"
            f" or the index did not respond. {_SPELLING}, or {_ELSEWHERE}."
        )


def _no_solution(output: _Output) -> Iterator[str]:
    # Only what packages and the requirements demand of each other is a contradiction; what cannot be had is another reason.
    _, because, reasons = output.text.partition("Because ")
    is_other = re.search(r"\b(?:has|have) (?:no|an invalid)\b|\bno version of\b|\bnot found\b|\bavailable\b|\bPython\b", reasons)
    demands = re.search(r"\bdepends? on\b|\Ayou require", reasons)
    if not is_other and demands and re.search(_UNSATISFIABLE, because + reasons):
        yield CONTRADICTION


def _fitting(missing: _Missing) -> tuple[str, ...]:
    """Return the listed versions that the requirement allows, pre-releases included; all of them if it cannot be read."""
    from orchlite.environments.pypa import InvalidRequirement, InvalidVersion, Requirement, Version

    found: list[str] = []
    try:
        allowed = Requirement(re.sub(r"\s*\(from .*", "", missing.requirement)).specifier
    except InvalidRequirement:
        return missing.versions
    for version in missing.versions:
        with suppress(InvalidVersion):
            found += [version] if allowed.contains(Version(version), prereleases=True) else []
    return tuple(found)


def _is_prerelease(version: str) -> bool:
    from orchlite.environments.pypa import InvalidVersion, Version

    try:
        return Version(version).is_prerelease
    except InvalidVersion:
        return False


class _Missing(NamedTuple):
    """A requirement that no version on the index meets."""

    requirement: str
    version: str
    """The exact version required; empty if it is a range."""
    versions: tuple[str, ...]
    """The versions that exist for this Python, oldest first."""


def _missing(output: _Output) -> _Missing | None:
    want = r"(?P<want>(?:(?!satisfies the requirement).)+?)"
    found = output.find(rf"satisfies the requirement {want} \((?:from [^()]*\(line \d+\)\) \()?from versions: (?P<have>[^)\n]*)\)")
    if found is None:
        return None
    versions = tuple(re.split(r",\s*", found["have"])) if found["have"] not in ("none", "") else ()
    exact = re.fullmatch(r"[^=<>~!]+===?([^\s,;]+).*", found["want"])
    return _Missing(found["want"], exact[1] if exact else "", versions)


def _available(versions: tuple[str, ...], prefix: str) -> str:
    if not versions:
        return "None of its versions does."
    if len(versions) <= _LISTED_VERSIONS:
        return f"{prefix}: {', '.join(versions)}."
    return f"{prefix}: {versions[0]} (the oldest), …, {', '.join(versions[-_LISTED_VERSIONS + 2 :])} (the newest)."


def _other_pins(output: _Output, explanation: str) -> str:
    """Return a sentence about replacing pins, if a set has other versions for what is explained and for what is pinned."""
    pins = (re.match(r"([\w.-]+)(?:\[[^\]]*\])?(?:===?|~=|<=?)([^\s,;]+)", line) for line in output.requirements)
    name = pin_sets.nearest({pin[1]: pin[2] for pin in pins if pin}, output.python)
    if name is None or not re.search(rf"(?<![\w.-])(?:{'|'.join(pin_sets.COMPILED)})(?![\w-])", explanation):
        return ""
    return (
        f" Or have pins replaced by versions that fit together and have wheels for this Python: replace_pins={name!r} in Python,"
        f" --replace-pins {name} on the command line."
    )


# In order of precedence, causes before their effects: without a network no package is found.
_RULES: tuple[Callable[[_Output], Iterator[str]], ...] = (
    *(_disk, _git, _authentication, _certificate, _network, _link, _broken, _uv_link, _hashes),
    *(_python_version, _no_wheel, _conflict, _no_version, _no_package, _no_solution),
)
_ABOUT_FILES = (_python_version, _no_wheel, _no_version)
"""Rules for packages that have no file for this Python in the version that is required."""
