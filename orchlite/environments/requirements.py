"""What a `requirements.txt` may contain: pure rules that turn its bytes into normalised lines, equal for equal needs.

The format is pip's, restricted to what an environment can be built from again on any machine. The error for a refused line says what to
write instead. Nothing is looked up: whether a package exists shows when the environment is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.errors import BadRequirement
from orchlite.core.hints import Api, join
from orchlite.core.text import mask_credentials
from orchlite.environments.requirement_lines import CONTENT_BYTES, LINE_CHARACTERS, SourceLine, logical_lines, printable

if TYPE_CHECKING:
    from orchlite.environments.pypa import Requirement, Specifier

__all__ = ["CONTENT_BYTES", "LINES", "LINE_CHARACTERS", "Requirements", "parse_requirements"]

LINES = 10_000
"""Limit of the lines with an option or a requirement: reading one takes up to 0.1 ms."""

_ALL, _NONE = ":all:", ":none:"
_LISTED_LINES = 10
_HASH_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_ARCHIVES = (".whl", ".tar.gz", ".zip")
_COMMIT_FORM = "git+https://HOST/PATH@COMMIT"

# Texts, compiled at their first use: most processes that import this module never use them.
_VARIABLE = r"\$\{\w+\}"
_COMMAND = r"[!%$]?\s*(?:python\S*\s+-m\s+)?(?:pip[\d.]*|uv\s+pip|conda|mamba)\s+install\s+(?P<rest>.+)\Z"
_SINGLE_EQUALS = r"(?P<name>[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)\s*=\s*(?P<version>[^=\s;]+)"
_SWAPPED = r"(?P<name>[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)\s*(?P<wrong>=[<>~!])\s*(?P<rest>[^=<>~!\s].*)\Z"
_SCHEME = r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):"
_PATH = r"\A(?:[/\\~.]|[A-Za-z]:|[^@:\s]*/)|\A[^@:\s\\]+\\\S|\A[^@\s]+\.(?:whl|zip|tar\.\w+|tgz)\s*\Z"
_GIT = r"git\+https://[^/\s]+/\S+@(?P<commit>[0-9a-fA-F]{40})(?P<fragment>#\S*)?\Z"
_EGG = r"#(?:\S*?&)??egg=(?P<egg>[^&\s]+)"
_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?"

_BESIDE_MAIN = "Put the package's folder into the bundle, beside main.py, where it can be imported as it is."
_INDEX = "Use " + Api.INDEX_URLS + " or pip's own configuration."
_REFUSED_OPTIONS = {
    **dict.fromkeys(("-r", "--requirement"), "Copy the lines of that file into this one."),
    **dict.fromkeys(("-c", "--constraint"), "Write the versions into the lines of this file."),
    **dict.fromkeys(("-e", "--editable"), f"{_BESIDE_MAIN} Or write NAME @ {_COMMIT_FORM}."),
    **dict.fromkeys(("-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links", "--trusted-host"), _INDEX),
}
_OWN_LINE = ("--pre", "--only-binary", "--no-binary")
_ALLOWED_OPTIONS = "Allowed are --pre, --only-binary, --no-binary and, after a requirement, --hash."


class Requirements(NamedTuple):
    """An accepted `requirements.txt`."""

    lines: tuple[str, ...] = ()
    """Normalised options and requirements, as they go to the installer and into the environment's key."""
    warnings: tuple[str, ...] = ()


def parse_requirements(content: bytes, *, name: str = "requirements.txt") -> Requirements:
    """Parse the content of a requirements file; errors and warnings call the file `name`.

    Options come first in the result, then the requirements, sorted. A line for `wallaroo` is left out, with a warning.

    Raises:
        BadRequirement: lines are refused. The message covers the first ten; what follows them is not read. `details` has `line`, `text`
            (credentials masked) and `file` of the first, and `limit_bytes` or `limit` if the file is too long.

    """
    collected, refused = _Collected(), list[BadRequirement]()
    for count, line in enumerate(logical_lines(content, name), start=1):
        if len(refused) == _LISTED_LINES:
            raise _combined(refused, f"Lines from {line.number} on were not read; more of them may be refused.")
        if count > LINES:
            raise _too_many(line)
        try:
            _check_variables(line)
            (_read_options if line.text.startswith("-") else _read_requirement)(line, collected)
        except BadRequirement as error:
            refused.append(error)
    if refused:
        raise _combined(refused)
    return Requirements((*collected.options(), *sorted(collected.requirements)), tuple(collected.warnings))


def _combined(refused: Sequence[BadRequirement], *more: str) -> BadRequirement:
    first, *others = refused
    return BadRequirement(join("\n", [*(error.args[0] for error in refused), *more]), **first.details) if others else first


def _too_many(line: SourceLine) -> BadRequirement:
    complaint = f"{line.file} has more than {LINES} requirements."
    return BadRequirement(complaint, hint="Leave out what is not needed.", line=line.number, text="", file=line.file, limit=LINES)


class _Collected:
    """The options, requirements and warnings of the lines read so far."""

    def __init__(self) -> None:
        self.requirements: set[str] = set()
        self.warnings: list[str] = []
        self.pre = False
        self.format_control: dict[str, set[str]] = {"--only-binary": set(), "--no-binary": set()}

    def warn(self, line: SourceLine, text: str) -> None:
        self.warnings.append(mask_credentials(f"{line.place}: {text}"))

    def add_format_control(self, option: str, value: str) -> None:
        """Apply `--only-binary` or `--no-binary` as pip does: later lines win, and `:all:` clears the other option."""
        names = self.format_control[option]
        other = next(names for key, names in self.format_control.items() if key != option)
        if value == _NONE:
            names.clear()
        elif value == _ALL:
            names.clear()
            other.clear()
        else:
            other.discard(value)
        if value != _NONE and _ALL not in names:
            names.add(value)

    def options(self) -> Iterator[str]:
        """Yield the options in an order that keeps their meaning: a name after the other option's `:all:` is an exception to it."""
        if self.pre:
            yield "--pre"
        pairs = [(name, option) for option, names in self.format_control.items() for name in names]
        for name, option in sorted(pairs, key=lambda pair: (pair[0] != _ALL, pair[1], pair[0])):
            yield f"{option}={name}"


def _check_variables(line: SourceLine) -> None:
    found = re.search(_VARIABLE, line.text)
    if found:
        hint = "Write the value itself; for the address of an index or a password, use pip's own configuration."
        raise line.error(f"contains the variable {found[0]}, so that the environment would depend on its value", hint)


# --- Options


def _read_options(line: SourceLine, collected: _Collected) -> None:
    words = _split_words(line.text)
    for option in words:
        if option == "--pre":
            collected.pre = True
        elif option in collected.format_control:
            for value in next(words, "").split(","):
                collected.add_format_control(option, _format_control_value(line, option, value.strip()))
        else:
            _refuse_option(line, option)


def _split_words(text: str) -> Iterator[str]:
    """Yield the words of a line; `--option=value` gives two, as `--option value` does."""
    for word in text.split():
        option, equals, value = word.partition("=")
        if equals and option.startswith("--"):
            yield option
            yield value
        else:
            yield word


def _format_control_value(line: SourceLine, option: str, value: str) -> str:
    from orchlite.environments.pypa import canonicalize_name

    if value in (_ALL, _NONE):
        return value
    if not re.fullmatch(_NAME, value):
        raise line.error(f"has no package name after {option}", f"Write {option}=NAME or {option}=:all:.")
    return canonicalize_name(value)


def _refuse_option(line: SourceLine, option: str) -> None:
    if not option.startswith("-"):
        raise line.error(f"has {option!r} after an option", "Write options and requirements on lines of their own.")
    if option in _OWN_LINE and not line.text.startswith("-"):
        raise line.error(f"has the option {option!r} after a requirement", f"Write {option} on a line of its own.")
    # A short option may be joined to its value: -rother.txt
    name = option if option.startswith("--") else option[:2]
    hint = _REFUSED_OPTIONS.get(name, _ALLOWED_OPTIONS)
    raise line.error(f"has the option {name!r}, which is not allowed", hint)


# --- Requirements


def _read_requirement(line: SourceLine, collected: _Collected) -> None:
    _check_common_mistakes(line)
    text, *options = re.split(r"\s(?=-)", line.text, maxsplit=1)
    text, hashes = text.rstrip(), _hashes(line, "".join(options))
    requirement = _parsed(line, text)
    if requirement is None:
        collected.requirements.add(_with_hashes(_bare_url(line, text), hashes))
        _warn_of_credentials(line, text, collected)
        return
    if _canonical(requirement.name) == "wallaroo":
        collected.warn(line, f"{text!r} is left out: every task has the wallaroo module.")
        return
    collected.requirements.add(_with_hashes(_normalised(line, requirement), hashes))
    _warn_of_requirement(line, requirement, collected)


def _check_common_mistakes(line: SourceLine) -> None:
    if found := re.match(_COMMAND, line.text):
        is_one = len(found["rest"].split()) == 1 and not found["rest"].startswith("-")
        hint = f"Write only {printable(found['rest'])}" if is_one else "Write only the requirements, one on a line."
        raise line.error("is a command", hint)
    if found := re.match(_SWAPPED, line.text):
        raise line.error(f"has {found['wrong']!r}", f"Write {printable(found['name'])}{found['wrong'][::-1]}{printable(found['rest'])}")
    if found := re.match(_SINGLE_EQUALS, line.text):
        raise line.error("has a single '='", f"Write {printable(found['name'])}=={printable(found['version'])}")
    if line.text.endswith("\\"):
        raise line.error("has blanks after the backslash, so that it continues nothing", "Remove the blanks at its end.")
    is_url = re.match(_SCHEME, line.text)
    if not is_url and re.search(_PATH, line.text.partition(";")[0]):
        raise line.error("is a path, which exists only on one machine", _BESIDE_MAIN)


def _hashes(line: SourceLine, options: str) -> list[str]:
    words = _split_words(options)
    found = set()
    for option in words:
        if option != "--hash":
            _refuse_option(line, option)
        algorithm, _, digits = next(words, "").lower().partition(":")
        if not re.fullmatch(r"[0-9a-f]+", digits) or len(digits) != _HASH_DIGITS.get(algorithm):
            raise line.error("has an invalid --hash", f"Write --hash={'|'.join(_HASH_DIGITS)}:DIGITS, as `pip hash` prints it.")
        found.add(f"--hash={algorithm}:{digits}")
    return sorted(found)


def _with_hashes(text: str, hashes: list[str]) -> str:
    return " ".join((text, *hashes))


def _parsed(line: SourceLine, text: str) -> Requirement | None:
    """Return the parsed requirement, or None for a bare URL without a package name."""
    from orchlite.environments.pypa import Requirement

    if re.match(_SCHEME, text):
        egg = re.search(_EGG, text)
        if not egg:
            return None
        text = f"{egg['egg']} @ {_without_egg(text)}"
    try:
        requirement = Requirement(text)
        if any(name.endswith("_") for name in (requirement.name, *requirement.extras)):  # `packaging` accepts it, pip does not
            raise ValueError("a name ends with a letter or a digit")
        return requirement
    except (ValueError, RecursionError) as error:
        _check_blank_before_marker(line)
        reason = str(error).partition("\n")[0].rstrip(".")
        # Without the cause: it quotes the line, which may hold a password.
        raise line.error(f"is not a requirement ({reason})", "Write NAME==VERSION, one on a line.") from None


def _check_blank_before_marker(line: SourceLine) -> None:
    if found := re.search(r"://[^\s;]*(?P<rest>;\s*[\w'\"(].*)", line.text):
        raise line.error("has no blank before the ';' that ends the URL", f"Write URL {printable(found['rest'])}")


def _without_egg(url: str) -> str:
    """Return the URL, perhaps with a marker, without the name in its fragment; a hash or subdirectory beside it stays."""
    address, _, rest = url.partition("#")
    fragment, *marker = re.split(r"(?=\s)", rest, maxsplit=1)
    kept = [part for part in fragment.split("&") if part and not part.startswith("egg=")]
    return address + (f"#{'&'.join(kept)}" if kept else "") + "".join(marker)


def _bare_url(line: SourceLine, text: str) -> str:
    from orchlite.environments.pypa import Requirement

    try:
        # With a stand-in name, so that the library separates URL and marker.
        requirement = Requirement(f"unnamed @ {text}")
    except (ValueError, RecursionError):
        _check_blank_before_marker(line)
        raise line.error("is not a requirement", "Write NAME @ URL.") from None
    url = _checked_url(line, requirement.url or "")
    path = re.split("[?#]", url, maxsplit=1)[0]
    if url.startswith("https:") and not path.lower().endswith(_ARCHIVES):
        raise line.error(f"is a URL that does not end with one of {', '.join(_ARCHIVES)}", f"Write NAME @ {printable(url)}")
    return f"{url} ; {requirement.marker}" if requirement.marker else url


def _checked_url(line: SourceLine, url: str) -> str:
    found = re.match(_SCHEME, url)
    scheme = found["scheme"].lower() if found else ""
    url = f"{scheme}{url[len(scheme) :]}"
    if scheme == "git+https":
        return _pinned_git(line, url)
    if scheme == "https":
        if not re.match(r"https://[^/\s?#]+/", url):
            raise line.error("has a URL without host or path", "Write https://HOST/PATH.")
        return url
    if scheme in ("", "file"):
        raise line.error("is a path, which exists only on one machine", _way_out_of_file(line))
    hint = f"Write {_COMMIT_FORM}." if scheme.startswith("git") else "Use an https URL."
    raise line.error(f"has a URL with the scheme {scheme!r}; only https and git+https are allowed", hint)


def _way_out_of_file(line: SourceLine) -> str:
    """Return what to write in place of `NAME @ file:…`, as `pip freeze` prints packages that conda installed."""
    found = re.match(rf"(?P<name>{_NAME})\s*(?:\[[^\]]*\]\s*)?@", line.text)
    return f"Write {found['name']}==VERSION; `pip list --format=freeze` prints it. {_BESIDE_MAIN}" if found else _BESIDE_MAIN


def _pinned_git(line: SourceLine, url: str) -> str:
    found = re.match(_GIT, url)
    if not found:
        hint = f"Add the commit's 40 digits: {_COMMIT_FORM}."
        raise line.error("names no commit, so that it could mean something else tomorrow", hint)
    begin, end = found.span("commit")
    return f"{url[:begin]}{url[begin:end].lower()}{url[end:]}"


def _normalised(line: SourceLine, requirement: Requirement) -> str:
    extras = ",".join(sorted({_canonical(extra) for extra in requirement.extras}))
    begin = _canonical(requirement.name) + (f"[{extras}]" if extras else "")
    marker = f"; {requirement.marker}" if requirement.marker else ""
    if requirement.url:
        # A space ends the URL.
        return f"{begin} @ {_checked_url(line, requirement.url)}{marker and f' {marker}'}"
    return f"{begin}{','.join(sorted(map(_specifier, requirement.specifier)))}{marker}"


def _canonical(name: str) -> str:
    from orchlite.environments.pypa import canonicalize_name

    return canonicalize_name(name)


def _specifier(specifier: Specifier) -> str:
    from orchlite.environments.pypa import Version

    try:
        return f"{specifier.operator}{Version(specifier.version)}"
    except ValueError:
        # `==1.*`, and the arbitrary text after `===`.
        return str(specifier)


def _warn_of_requirement(line: SourceLine, requirement: Requirement, collected: _Collected) -> None:
    if requirement.url:
        _warn_of_credentials(line, requirement.url, collected)
    elif not requirement.specifier:
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        marker = f"; {requirement.marker}" if requirement.marker else ""
        pinned = f"{requirement.name}{extras}==VERSION{marker}"
        collected.warn(line, f"{requirement.name} has no version, so that a later build may install another one. Write {pinned}")


def _warn_of_credentials(line: SourceLine, url: str, collected: _Collected) -> None:
    if mask_credentials(url) != url:
        collected.warn(line, f"{url} holds credentials, which are stored with the bundle; keep them in ~/.netrc instead.")
