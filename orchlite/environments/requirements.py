"""What a `requirements.txt` may say: pure rules from bytes to normalised lines, equal for equal needs.

The file format is pip's; of it only what an environment can be built from again, anywhere, is accepted. Where a line is refused, the
error says what to write instead. Nothing is looked up here: whether a package exists shows when the environment is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.errors import BadRequirement
from orchlite.core.text import mask_credentials, quoted

if TYPE_CHECKING:
    from orchlite.environments.pypa import Requirement, Specifier

CONTENT_BYTES = 1024 * 1024
"""The longest file of requirements that is read."""

LINE_CHARACTERS = 64 * 1024
"""The longest line, continuations joined: room for the hashes of several hundred files."""

_ALL, _NONE = ":all:", ":none:"
_SHOWN_LINES = 10
_TEXT_CHARACTERS = 200
_HASH_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_ARCHIVES = (".whl", ".tar.gz", ".zip")
_COMMIT_FORM = "git+https://HOST/PATH@COMMIT"

# Patterns are compiled at their first use, which most processes that import this file never come to.
_UTF16 = rb"\xff\xfe|\xfe\xff"
_NEWLINE = r"\r\n|\r|\n"
# pip would begin a new line at some of these.
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]"
_COMMENT = r"(?:\A|\s)#.*\Z"
_VARIABLE = r"\$\{\w+\}"
_COMMAND = r"[!%$]?\s*(?:python\S*\s+-m\s+)?(?:pip[\d.]*|uv\s+pip|conda|mamba)\s+install\s+(?P<rest>.+)\Z"
_SINGLE_EQUALS = r"(?P<name>[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)\s*=\s*(?P<version>[^=\s;]+)"
_SCHEME = r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):"
_PATH = r"\A(?:[/\\~.]|[A-Za-z]:|[^@:\s]*/)|\\|\A[^@\s]+\.(?:whl|zip|tar\.\w+|tgz)\s*\Z"
_GIT = r"git\+https://[^/\s]+/\S+@(?P<commit>[0-9a-fA-F]{40})(?P<fragment>#\S*)?\Z"
_EGG = r"[#&]egg=(?P<egg>[^&\s]+)"
_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?"

_BESIDE_MAIN = "Put the package's folder into the bundle, beside main.py, where it can be imported as it is."
_INDEX = "Use Client(index_urls=...) or pip's own configuration."
_REFUSED_OPTIONS = {
    **dict.fromkeys(("-r", "--requirement"), "Copy the lines of that file into this one."),
    **dict.fromkeys(("-c", "--constraint"), "Write the versions into the lines of this file."),
    **dict.fromkeys(("-e", "--editable"), f"{_BESIDE_MAIN} Or write NAME @ {_COMMIT_FORM}."),
    **dict.fromkeys(("-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links", "--trusted-host"), _INDEX),
}
_ALLOWED_OPTIONS = "Allowed are --pre, --only-binary, --no-binary and, behind a requirement, --hash."


class Requirements(NamedTuple):
    """An accepted `requirements.txt`."""

    lines: tuple[str, ...] = ()
    """Normalised options and requirements, as they go to the installer and into the environment's key."""
    warnings: tuple[str, ...] = ()


def read_requirements(content: bytes, *, name: str = "requirements.txt") -> Requirements:
    """Read a file of requirements; `name` is what errors and warnings call it.

    Options come first in the result, then the requirements, sorted. A line for `wallaroo` is dropped, with a warning.

    Raises:
        BadRequirement: of the first line that is refused `line`, `text` (credentials masked) and `file`; the message says it of all.

    """
    wanted, refused = _Wanted(), list[BadRequirement]()
    for line in _logical_lines(_decoded(content, name), name):
        try:
            _check_variables(line)
            (_read_options if line.text.startswith("-") else _read_requirement)(line, wanted)
        except BadRequirement as error:
            refused.append(error)
    if refused:
        raise _together(refused)
    return Requirements((*wanted.options(), *sorted(wanted.requirements)), tuple(wanted.warnings))


def _together(refused: Sequence[BadRequirement]) -> BadRequirement:
    first, *others = refused
    if not others:
        return first
    more = [f"And {len(others) - _SHOWN_LINES + 1} more lines are refused."] if len(others) >= _SHOWN_LINES else []
    return BadRequirement("\n".join([*map(str, refused[:_SHOWN_LINES]), *more]), **first.details)


class _Line(NamedTuple):
    file: str
    number: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.number}"

    def refused(self, complaint: str, hint: str) -> BadRequirement:
        message = f"{self.place}: {_printable(self.text)!r} {_printable(complaint)}."
        return BadRequirement(message, hint=_printable(hint), line=self.number, text=mask_credentials(self.text), file=self.file)


def _printable(text: str) -> str:
    text = mask_credentials(text)
    return text if len(text) <= _TEXT_CHARACTERS else f"{text[:_TEXT_CHARACTERS]}…"


class _Wanted:
    """What the lines read so far ask for."""

    def __init__(self) -> None:
        self.requirements: set[str] = set()
        self.warnings: list[str] = []
        self.pre = False
        self.binary: dict[str, set[str]] = {"--only-binary": set(), "--no-binary": set()}

    def warn(self, line: _Line, text: str) -> None:
        self.warnings.append(mask_credentials(f"{line.place}: {text}"))

    def choose(self, option: str, value: str) -> None:
        """As pip: the later line wins, and `:all:` takes back what the other option said before."""
        chosen = self.binary[option]
        other = next(names for key, names in self.binary.items() if key != option)
        if value == _NONE:
            chosen.clear()
        elif value == _ALL:
            chosen.clear()
            other.clear()
        else:
            other.discard(value)
        if value != _NONE and _ALL not in chosen:
            chosen.add(value)

    def options(self) -> Iterator[str]:
        """In an order that means the same when it is read again: a name after `:all:` of the other option is its exception."""
        if self.pre:
            yield "--pre"
        pairs = [(name, option) for option, names in self.binary.items() for name in names]
        for name, option in sorted(pairs, key=lambda pair: (pair[0] != _ALL, pair[1], pair[0])):
            yield f"{option}={name}"


# --- from bytes to lines


def _decoded(content: bytes, name: str) -> str:
    if len(content) > CONTENT_BYTES:
        complaint = f"{name} is longer than {CONTENT_BYTES} bytes."
        raise BadRequirement(complaint, hint="Keep only requirements in it.", line=1, text="", file=name, limit_bytes=CONTENT_BYTES)
    if re.match(_UTF16, content):
        raise _bad_bytes(content, 0, name, "begins as UTF-16")
    if (position := content.find(b"\0")) >= 0:
        raise _bad_bytes(content, position, name, "holds a NUL")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad_bytes(content, error.start, name, "is not valid UTF-8") from error


def _bad_bytes(content: bytes, position: int, name: str, complaint: str) -> BadRequirement:
    begin = max(content.rfind(b"\n", 0, position) + 1, position - _TEXT_CHARACTERS)
    text = content[begin : position + 1].decode(errors="backslashreplace")
    line = _Line(name, len(re.findall(_NEWLINE.encode(), content[:position])) + 1, text)
    return line.refused(complaint, "Save the file as UTF-8 text (PowerShell's `>` writes UTF-16).")


def _logical_lines(text: str, name: str) -> Iterator[_Line]:
    """Join continued lines and drop comments, as pip does: a comment is not continued, and ends a continuation."""
    begun, number = "", 0
    for here, physical in enumerate(re.split(_NEWLINE, text), start=1):
        _check_characters(_Line(name, here, physical))
        number = number if begun else here
        is_comment = physical.lstrip().startswith("#")
        if physical.endswith("\\") and not is_comment:
            begun += physical[:-1] or " "
            continue
        yield from _without_comment(_Line(name, number, f"{begun} {physical}" if is_comment else begun + physical))
        begun = ""
    yield from _without_comment(_Line(name, number, begun))


def _without_comment(line: _Line) -> Iterator[_Line]:
    text = re.sub(_COMMENT, "", line.text).strip()
    if len(text) > LINE_CHARACTERS:
        raise line.refused(f"is longer than {LINE_CHARACTERS} characters", "Write one requirement on a line.")
    if text:
        yield _Line(line.file, line.number, text)


def _check_characters(line: _Line) -> None:
    found = re.search(_CONTROL, line.text)
    if found:
        raise line.refused(f"holds the control character {quoted(found[0])}", "Remove it.")


def _check_variables(line: _Line) -> None:
    found = re.search(_VARIABLE, line.text)
    if found:
        hint = "Write the value itself; for the address of an index or a password, use pip's own configuration."
        raise line.refused(f"holds the variable {found[0]}, which would make the environment depend on its value", hint)


# --- options


def _read_options(line: _Line, wanted: _Wanted) -> None:
    words = _split_words(line.text)
    for option in words:
        if option == "--pre":
            wanted.pre = True
        elif option in wanted.binary:
            for value in next(words, "").split(","):
                wanted.choose(option, _binary_value(line, option, value.strip()))
        else:
            _refuse_option(line, option)


def _split_words(text: str) -> Iterator[str]:
    """`--option=value` and `--option value` alike give two words."""
    for word in text.split():
        option, equals, value = word.partition("=")
        if equals and option.startswith("--"):
            yield option
            yield value
        else:
            yield word


def _binary_value(line: _Line, option: str, value: str) -> str:
    from orchlite.environments.pypa import canonicalize_name

    if value in (_ALL, _NONE):
        return value
    if not re.fullmatch(_NAME, value):
        raise line.refused(f"has no package name behind {option}", f"Write {option}=NAME or {option}=:all:.")
    return canonicalize_name(value)


def _refuse_option(line: _Line, option: str) -> None:
    # A short option may have its value glued on: -rother.txt
    name = option if option.startswith("--") else option[:2]
    hint = _REFUSED_OPTIONS.get(name, _ALLOWED_OPTIONS)
    raise line.refused(f"has the option {name!r}, which is not allowed", hint)


# --- requirements


def _read_requirement(line: _Line, wanted: _Wanted) -> None:
    _check_common_mistakes(line)
    text, *options = re.split(r"\s(?=-)", line.text, maxsplit=1)
    text, hashes = text.rstrip(), _hashes(line, "".join(options))
    requirement = _parsed(line, text)
    if requirement is None:
        wanted.requirements.add(_with_hashes(_bare_url(line, text), hashes))
        _warn_of_credentials(line, text, wanted)
        return
    if _canonical(requirement.name) == "wallaroo":
        wanted.warn(line, f"{text!r} is left out: the wallaroo module is always there in a task.")
        return
    wanted.requirements.add(_with_hashes(_normalised(line, requirement), hashes))
    _warn_of_requirement(line, requirement, wanted)


def _check_common_mistakes(line: _Line) -> None:
    if found := re.match(_COMMAND, line.text):
        rest = found["rest"]
        raise line.refused("is a command", "Write only the requirement." if rest.startswith("-") else f"Write only {rest}")
    if found := re.match(_SINGLE_EQUALS, line.text):
        raise line.refused("has a single '='", f"Write {found['name']}=={found['version']}")
    is_url = re.match(_SCHEME, line.text)
    if not is_url and re.search(_PATH, line.text.partition(";")[0]):
        raise line.refused("is a path on one machine", _BESIDE_MAIN)


def _hashes(line: _Line, options: str) -> list[str]:
    words = _split_words(options)
    found = set()
    for option in words:
        if option != "--hash":
            _refuse_option(line, option)
        algorithm, _, digits = next(words, "").lower().partition(":")
        if not re.fullmatch(r"[0-9a-f]+", digits) or len(digits) != _HASH_DIGITS.get(algorithm):
            raise line.refused("has a --hash that is none", f"Write --hash={'|'.join(_HASH_DIGITS)}:DIGITS, as `pip hash` prints it.")
        found.add(f"--hash={algorithm}:{digits}")
    return sorted(found)


def _with_hashes(text: str, hashes: list[str]) -> str:
    return " ".join((text, *hashes))


def _parsed(line: _Line, text: str) -> Requirement | None:
    """Read a requirement; None for a bare URL that names no package."""
    from orchlite.environments.pypa import Requirement

    if re.match(_SCHEME, text):
        egg = re.search(_EGG, text)
        if not egg:
            return None
        text = f"{egg['egg']} @ {_without_egg(text)}"
    try:
        return Requirement(text)
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        # The cause would quote the line, with any password in it.
        raise line.refused(f"is no requirement ({reason})", "Write NAME==VERSION, one on a line.") from None


def _without_egg(url: str) -> str:
    # `#egg=name&subdirectory=x` keeps its other part.
    return re.sub(r"&?egg=[^&\s]*&?", "", url).replace("# ", " ").rstrip("#")


def _bare_url(line: _Line, text: str) -> str:
    from orchlite.environments.pypa import Requirement

    try:
        # A stand-in name, so that the same reader separates URL and marker.
        requirement = Requirement(f"unnamed @ {text}")
    except (ValueError, RecursionError):
        raise line.refused("is no requirement", "Write NAME @ URL.") from None
    url = _checked_url(line, requirement.url or "")
    path = re.split("[?#]", url, maxsplit=1)[0]
    if url.startswith("https:") and not path.lower().endswith(_ARCHIVES):
        raise line.refused(f"is a URL that ends with none of {', '.join(_ARCHIVES)}", f"Write NAME @ {url}")
    return f"{url} ; {requirement.marker}" if requirement.marker else url


def _checked_url(line: _Line, url: str) -> str:
    found = re.match(_SCHEME, url)
    scheme = found["scheme"].lower() if found else ""
    url = f"{scheme}{url[len(scheme) :]}"
    if scheme == "git+https":
        return _pinned_git(line, url)
    if scheme == "https":
        if not re.match(r"https://[^/\s?#]+/", url):
            raise line.refused("has a URL without host or path", "Write https://HOST/PATH.")
        return url
    if scheme in ("", "file"):
        raise line.refused("is a path on one machine", _BESIDE_MAIN)
    hint = f"Write {_COMMIT_FORM}." if scheme.startswith("git") else "Use an https URL."
    raise line.refused(f"has a URL of the kind {scheme!r}; only https and git+https are allowed", hint)


def _pinned_git(line: _Line, url: str) -> str:
    found = re.match(_GIT, url)
    if not found:
        hint = f"Write the commit's 40 digits behind it: {_COMMIT_FORM}."
        raise line.refused("names no commit, so that it could mean something else tomorrow", hint)
    begin, end = found.span("commit")
    return f"{url[:begin]}{url[begin:end].lower()}{url[end:]}"


def _normalised(line: _Line, requirement: Requirement) -> str:
    extras = ",".join(sorted({_canonical(extra) for extra in requirement.extras}))
    begin = _canonical(requirement.name) + (f"[{extras}]" if extras else "")
    marker = f"; {requirement.marker}" if requirement.marker else ""
    if requirement.url:
        # The blank ends the URL.
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
        # `==1.*`, and the free text behind `===`.
        return str(specifier)


def _warn_of_requirement(line: _Line, requirement: Requirement, wanted: _Wanted) -> None:
    if requirement.url:
        _warn_of_credentials(line, requirement.url, wanted)
    elif not requirement.specifier:
        wanted.warn(
            line, f"{requirement.name} has no version, so that a later build may get another one. Write {requirement.name}==VERSION"
        )


def _warn_of_credentials(line: _Line, url: str, wanted: _Wanted) -> None:
    if mask_credentials(url) != url:
        wanted.warn(line, f"{url} holds credentials, which stay in the bundle; better keep them in ~/.netrc.")
