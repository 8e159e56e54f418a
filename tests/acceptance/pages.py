"""Run the snippets of a Markdown page as its reader would: from top to bottom, in an empty home folder.

| block | what happens to it |
|---|---|
| `console` | each line after `$ ` is run by a shell on a terminal and must print the lines below it; `...` stands for any lines |
| `bash` | is run and must exit with 0; its output is ignored |
| `python` | is run by itself, must exit with 0 and print nothing on standard error |
| `text` after `python` | must be what that printed |
| any, with a first line `# path/of/a.file` | is written to that file |

After the language, `ci` marks what `.ci/run` runs instead. Ids (of processes, too), times,
durations, sizes and ports compare equal. `orchlite start` and `orchlite serve` keep running until the end of the page.
"""

from __future__ import annotations

import codecs
import difflib
import fcntl
import os
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
MANUAL = ROOT / "orchlite" / "manual"

_BLOCK = re.compile(r"^```(\S+)(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_FILE = re.compile(r"# ([\w./-]*\.\w+)\n")
_FOREGROUND = re.compile(r"orchlite (open|start|serve)\b")
_KEPT = ("PATH", "PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
_KEEPING_STATUS = "status=$?; printf '%s\\n' {}; (exit $status)"
_HOME = "/home/ada"
_COLUMNS = 400
"""Enough for the paths of temporary folders, which are longer than those on the page."""
_SECONDS = 600
_SPACE = re.compile(r"\s+")
_EQUAL = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha>"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "<id>"),
    (re.compile(r"(\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d[\d:.]*(Z|[+-]\d\d:\d\d| [A-Z]{3,4}\b)?"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)? ?s\b"), "<seconds>"),
    (re.compile(r"\b\d+(\.\d+)? ([KMG]iB|B)\b"), "<size>"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "<url>"),
    (re.compile(r"\bprocess \d+\b"), "<process>"),
    (re.compile(r"\bkey=[\w-]{43}(?!\w)"), "key=<key>"),
)
"""What differs from run to run, and the word that takes its place."""


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    mark: str
    """`ci`, or nothing."""
    text: str
    line: int
    """The number of its first line on the page, from 1."""

    @property
    def file(self) -> str | None:
        """The file that it shows, if any."""
        found = _FILE.match(self.text)
        return None if found is None else found[1]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = _BLOCK.finditer(text)
    return [Block(one[1], one[2].strip(), one[3], text.count("\n", 0, one.start()) + 2) for one in found]


def run_page(page: Path, home: Path, *, cache: Path | None = None) -> None:
    """Run the blocks of a page.

    cache: the cache of environments; by default the page has its own.

    Raises:
        AssertionError: a block does not do what the page says.
    """
    home.mkdir(parents=True)
    home.with_name("temporary").mkdir()  # what other tests leave behind is no concern of `orchlite doctor` here
    (home / "examples").symlink_to(ROOT / "examples")
    if "path/to/orchlite" in page.read_text(encoding="utf-8"):  # building a package writes into its folder
        shutil.copytree(ROOT, home / "path" / "to" / "orchlite", ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "tests"))
    with ExitStack() as stack:
        reader = _Reader(page, home, cache, stack)
        for block in blocks(page):
            if block.mark != "ci":
                reader.follow(block)


class _Reader:
    """Follow a page, block by block."""

    def __init__(self, page: Path, home: Path, cache: Path | None, stack: ExitStack) -> None:
        self._page = page
        self._home = home
        self._stack = stack
        self._url: str | None = None
        self._printed: str | None = None
        self._cache = cache
        self._environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._environment |= {"HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm", "NO_COLOR": "1"}
        self._environment["TMPDIR"] = str(home.with_name("temporary"))
        self._environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        if cache is not None:
            self._environment["ORCHLITE_CACHE"] = str(cache)

    def follow(self, block: Block) -> None:
        """Do what one block says."""
        printed, self._printed = self._printed, None
        if block.file is not None:
            (self._home / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self._home / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "text":
            assert printed is not None, f"{self._page.name}, line {block.line}: nothing was printed before"
            self._compare(block, block.text, printed)
        else:
            {"bash": self._follow_bash, "console": self._follow_console, "python": self._follow_python}[block.language](block)

    def _follow_python(self, block: Block) -> None:
        # The line numbers of a traceback are those of the page.
        done = self._run([sys.executable, "-c", "\n" * (block.line - 1) + block.text])
        assert (done.returncode, done.stderr) == (0, ""), f"{self._page.name}, line {block.line}: {done.stderr}"
        self._printed = done.stdout

    def _follow_bash(self, block: Block) -> None:
        done = self._run(["bash", "-euc", self._at_the_server(block.text)])
        assert done.returncode == 0, f"{self._page.name}, line {block.line}: {done.stdout}{done.stderr}"

    def _follow_console(self, block: Block) -> None:
        commands = re.findall(r"^\$ (.*)$", block.text, re.MULTILINE)
        if _FOREGROUND.match(commands[0]):
            shown = self._stay(commands[0], block.text)
        else:
            typed = "\n".join(f"{_KEEPING_STATUS.format(shlex.quote(f'$ {command}'))}\n{command}" for command in commands)
            shown = "".join(self._type(["bash", "-c", self._at_the_server(typed)]))
        self._compare(block, block.text, shown)

    def _stay(self, command: str, expected: str) -> str:
        """Start a command and return what it prints, once that has as many lines as `expected`; leave it running."""
        words = shlex.split(command.replace("orchlite serve", "orchlite serve --port 0"))
        shown = f"$ {command}\n"
        for part in self._type(words):
            shown += part
            if shown.endswith("\n") and len(shown.splitlines()) >= len(expected.splitlines()):
                self._url = next(iter(re.findall(r"http://127\.0\.0\.1:\d+", shown)), self._url)
                break
        return shown

    def _type(self, words: list[str]) -> Iterator[str]:
        """Start a command on a terminal, and yield what it prints until it has ended."""
        terminal, inside = os.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, _COLUMNS, 0, 0))
        process = subprocess.Popen(
            words, cwd=self._home, env=self._environment, stdin=subprocess.DEVNULL, stdout=inside, stderr=inside, start_new_session=True
        )
        os.close(inside)
        self._stack.callback(os.close, terminal)
        self._stack.callback(_end, process)
        for part in _parts(terminal):
            yield part.replace("\r\n", "\n")

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self._home, env=self._environment, capture_output=True, text=True, check=False, timeout=_SECONDS)

    def _at_the_server(self, text: str) -> str:
        return text if self._url is None else text.replace("http://127.0.0.1:8080", self._url)

    def _compare(self, block: Block, expected: str, shown: str) -> None:
        for real, told in ((self._home, _HOME), (self._cache, f"{_HOME}/.cache/orchlite")):
            shown = shown.replace(str(real), told)
        if not _is_as(_lines(expected), _lines(shown)):
            diff = "\n".join(difflib.unified_diff(expected.splitlines(), shown.splitlines(), "the page", "shown", lineterm=""))
            raise AssertionError(f"{self._page.name}, line {block.line}:\n{diff}")


def _parts(terminal: int) -> Iterator[str]:
    """Yield what arrives, until no process has the terminal open."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    give_up_at = time.monotonic() + _SECONDS
    while select.select([terminal], [], [], max(0.0, give_up_at - time.monotonic()))[0]:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux's end of file
            return
        if not part:
            return
        yield decoder.decode(part)
    raise AssertionError(f"a command has not ended after {_SECONDS} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait(_SECONDS)


def _lines(text: str) -> list[str]:
    for pattern, word in _EQUAL:
        text = pattern.sub(word, text)
    return [_SPACE.sub(" ", line).strip() for line in text.strip().splitlines()]


def _is_as(expected: list[str], shown: list[str]) -> bool:
    """Whether the lines are equal: `...` stands for any number of lines, and at the end of a line for any words."""
    if not expected:
        return not shown
    first, *rest = expected
    if first == "...":
        return any(_is_as(rest, shown[start:]) for start in range(len(shown) + 1))
    return bool(shown) and _is_line(first, shown[0]) and _is_as(rest, shown[1:])


def _is_line(expected: str, shown: str) -> bool:
    return shown.startswith(expected[:-3]) if expected.endswith("...") else shown == expected
