"""Reads the source of the installed SDK for what it may ask of a server, and prints JSON: REST paths, and GraphQL queries by their place.

What only a call knows is a 7, or missing at the end of a path.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_PATH = re.compile(r"(?<!openai/)\b(?:v[12]|auth/admin)/[\w/]+")
_QUERY = re.compile(r"\s*(query|mutation)\s+\w+[^{]*\{")
_UNUSED_QUERIES = "records/"
"""Copies of all queries of the platform, for its own records of calls."""


def paths(sources: dict[str, ast.Module]) -> set[str]:
    """Return the paths in all strings."""
    texts = (text for tree in sources.values() for _, text in _texts(tree))
    return {f"/{path}" for text in texts for path in _PATH.findall(text)}


def queries(sources: dict[str, ast.Module], folder: Path) -> dict[str, str]:
    """Return the GraphQL queries, those in files of their own included."""
    found = {}
    for name, tree in sources.items():
        if not name.startswith(_UNUSED_QUERIES):
            found.update({f"{name}:{line}": text for line, text in _texts(tree) if _QUERY.match(text)})
            found.update({f"{name}:{query}": (folder / "graphql" / f"{query}.graphql").read_text() for query in _named_queries(tree)})
    return found


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield strings with their lines; an f-string has a 7 for whatever it interpolates."""
    nodes = list(ast.walk(tree))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)


def _named_queries(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "named":
            (name,) = node.args
            assert isinstance(name, ast.Constant)
            yield str(name.value)


def main() -> None:
    """Print the JSON."""
    spec = find_spec("wallaroo")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    sources = {path.relative_to(folder).as_posix(): ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}
    print(json.dumps({"paths": sorted(paths(sources)), "queries": queries(sources, folder)}))


if __name__ == "__main__":
    main()
