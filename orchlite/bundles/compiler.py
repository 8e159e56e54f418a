"""Compile a program, or read the imports of several, within limits on CPU time and memory, and report what was found.

`compiler_process` starts this file by path, in a process of its own; nothing imports it. The compiler holds the GIL, takes quadratic time
or hundreds of megabytes for sources of a few kilobytes, and can overflow the stack, none of which a host survives unharmed. The programs
are not executed. Modules are imported sparingly: every upload waits for this process.

Arguments: seconds of CPU, bytes of address space, task. Output: records of kind, line and text, separated by U+001F and ended by U+001E.

    compile   Input: a program. Output: `error`, `warning`, `empty`; then `done`, whose absence means that the compiler did not finish.
    imports   Input: a line of lengths in bytes, then sources of these lengths. Output for each source: `import` or `optional` with the
              top-level name of each module that it imports; then `done`.
"""

from __future__ import annotations

import _ast
import sys
import warnings

_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST, without the 5 ms that importing `ast` takes
_TEXT_CHARACTERS = 500
_WARNINGS = 10
_IMPORTS = 200

_MISSING = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_EXITS = frozenset({"exit", "_exit", "quit"})
_ASKS_FOR_THE_PLATFORM = frozenset(
    {"TYPE_CHECKING", "version_info", "hexversion", "platform", "implementation", "os.name", "find_spec", "PY2", "PY3"}
)


def main() -> None:
    """Do the task on standard input, and write the records to standard output."""
    memory_bytes = int(sys.argv[2])
    _limit(int(sys.argv[1]), memory_bytes)
    if sys.argv[3] == "compile":
        _report_program(sys.stdin.buffer.read(), memory_bytes)
    else:
        _report_imports()


def _report_program(source: bytes, memory_bytes: int) -> None:
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


# --- Imports


def _report_imports() -> None:
    warnings.simplefilter("ignore")
    stdin = sys.stdin.buffer
    for length in stdin.readline().split():
        source = stdin.read(int(length))
        try:
            tree = compile(source, "", "exec", _ONLY_AST, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            tree = _ast.Module([], [])
        for module, (line, is_optional) in sorted(_imports(tree).items(), key=lambda item: item[1])[:_IMPORTS]:
            _say("optional" if is_optional else "import", line, module)
        _say("done", None, "")


def _imports(tree: _ast.AST) -> dict[str, tuple[int, bool]]:
    """Return the first line of each module's imports, and whether any of them is optional: then the program can do without."""
    found: dict[str, tuple[int, bool]] = {}
    waiting: list[tuple[_ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, is_optional = waiting.pop()
        here: int = getattr(node, "lineno", 0)
        for name in _imported(node):
            line, was_optional = found.get(name, (here, False))
            found[name] = (min(line, here), is_optional or was_optional)
        if not (isinstance(node, _ast.If) and _words(node.test) & _ASKS_FOR_THE_PLATFORM):
            waiting += [(child, is_optional) for child in getattr(node, "finalbody", ())]
            is_optional = is_optional or _is_forgiving(node)
            waiting += [(child, is_optional) for child in _statements(node)]
    return found


def _imported(node: _ast.AST) -> list[str]:
    """Return the top-level names of what a statement imports. Relative imports stay in the bundle."""
    if isinstance(node, _ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, _ast.ImportFrom) and not node.level and node.module:
        return [node.module.partition(".")[0]]
    return []


def _statements(node: _ast.AST) -> list[_ast.AST]:
    """Return the statements directly in this one, its handlers and its cases, without those of a `finally`."""
    return [child for field in ("body", "orelse", "handlers", "cases") for child in getattr(node, field, ())]


def _is_forgiving(node: _ast.AST) -> bool:
    """Return whether the program continues if an import in this statement fails: a `try`, or a `with suppress(...)`."""
    if isinstance(node, _ast.With):
        words = _words(*(item.context_expr for item in node.items))
        return "suppress" in words and bool(words & _MISSING)
    return any(_catches(handler) and not _ends(handler.body[-1]) for handler in getattr(node, "handlers", ()))


def _catches(handler: _ast.ExceptHandler) -> bool:
    return handler.type is None or bool(_words(handler.type) & _MISSING)


def _ends(statement: _ast.stmt) -> bool:
    if isinstance(statement, _ast.Expr) and isinstance(statement.value, _ast.Call):
        return bool(_words(statement.value.func) & _EXITS)
    return isinstance(statement, _ast.Raise)


def _words(*expressions: _ast.AST) -> set[str]:
    """Return the names and attributes in expressions, and `name.attribute` of both together."""
    words = set()
    waiting = list(expressions)
    while waiting:
        node = waiting.pop()
        if isinstance(node, _ast.Name):
            words.add(node.id)
        elif isinstance(node, _ast.Attribute):
            words |= {node.attr, f"{node.value.id}.{node.attr}" if isinstance(node.value, _ast.Name) else node.attr}
        for field in node._fields:
            value = getattr(node, field)
            waiting += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, _ast.AST)]
    return words


# --- The process


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
