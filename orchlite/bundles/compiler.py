"""Compile the program on standard input, within limits on CPU time and memory, and report what the compiler says.

`syntax` starts this file by path, in a process of its own; nothing imports it. The compiler holds the GIL, takes quadratic time or
hundreds of megabytes for sources of a few kilobytes, and can overflow the stack, none of which a host survives unharmed. The program is
not executed. Modules are imported sparingly: every upload waits for this process.

Arguments: seconds of CPU, bytes of address space. Output: records of kind, line and text, separated by U+001F and ended by U+001E; the
last one is `done`, whose absence means that the compiler did not finish.
"""

from __future__ import annotations

import sys
import warnings

_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST, without the 5 ms that importing `ast` takes
_TEXT_CHARACTERS = 500
_WARNINGS = 10


def main() -> None:
    """Compile standard input and write the records to standard output."""
    memory_bytes = int(sys.argv[2])
    _limit(int(sys.argv[1]), memory_bytes)
    source = sys.stdin.buffer.read()
    try:
        _compile(source)
    except SyntaxError as error:
        _say("error", error.lineno, f"has a syntax error: {error.msg}")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        _say("error", line, "is not UTF-8 and declares no other encoding: save it as UTF-8")
    except RecursionError:
        _say("error", None, "is nested too deeply to be compiled")
    except MemoryError:
        # Also raised where the parser's stack, of a fixed size, overflows.
        if _peak_bytes() * 4 > memory_bytes:
            return
        _say("error", None, "is nested too deeply to be compiled")
    except ValueError as error:
        _say("error", None, f"is not Python source: {error}")
    _say("done", None, "")


def _compile(source: bytes) -> None:
    _check_encoding(source)
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", SyntaxWarning)
    # The original quotes the line of whatever file has the program's name in the working folder.
    warnings.showwarning = _Warnings().show
    tree = compile(source, "main.py", "exec", _ONLY_AST, dont_inherit=True)
    # Only the compiler finds a `return` outside a function and the like.
    compile(tree, "main.py", "exec", dont_inherit=True)
    if not tree.body:
        _say("empty", None, "")


class _Warnings:
    def __init__(self) -> None:
        self._count = 0

    def show(
        self, message: Warning | str, category: object, filename: object, lineno: int, file: object = None, line: object = None
    ) -> None:
        self._count += 1
        if self._count <= _WARNINGS:
            _say("warning", lineno, str(message))


def _check_encoding(source: bytes) -> None:
    """Decode UTF-8 as the interpreter does on reading a file; `compile` skips comments, and decodes other encodings itself."""
    try:
        source.decode()
    except UnicodeDecodeError:
        if not _declares_encoding(source):
            raise


def _declares_encoding(source: bytes) -> bool:
    """Return whether the source declares another encoding than UTF-8, by PEP 263: in the first line, or the second below a comment."""
    import re

    for line in re.split(rb"\r\n?|\n", source, maxsplit=2)[:2]:
        if found := re.match(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", line):
            return not re.match(rb"utf-8(?:-|\Z)|u8\Z", found[1].lower().replace(b"_", b"-"))
        if not re.match(rb"[ \t\f]*(?:#|\Z)", line):
            return False
    return False


def _limit(cpu_seconds: int, memory_bytes: int) -> None:
    import resource

    limits = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, cpu_seconds), (resource.RLIMIT_AS, memory_bytes))
    for kind, value in limits:
        try:  # `contextlib` takes longer to import than the rest
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            continue  # a stricter limit applies already, or the system has none of this kind


def _peak_bytes() -> int:
    import resource

    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - pathlib would cost a third of the start
            # Linux's ru_maxrss begins with that of the process that this one was started from.
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(b"VmHWM:"))
    except (OSError, StopIteration):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _say(kind: str, line: int | None, text: str) -> None:
    record = f"{kind}\x1f{line or ''}\x1f{text[:_TEXT_CHARACTERS]}\x1e"
    sys.stdout.buffer.write(record.encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
