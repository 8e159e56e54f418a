"""What differs between two runs: how they ended, their code, packages, arguments, variables and metrics. It only reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from orchlite.core.records import Packages, RunRow, TaskRow
from orchlite.core.tables import table_html
from orchlite.operations import run_packages
from orchlite.operations.context import Context

if TYPE_CHECKING:
    from orchlite.bundles.bundle import BundledFile

DifferenceKind = Literal["run", "code", "package", "argument", "variable", "metric"]


class Difference(NamedTuple):
    """One thing in which two runs differ."""

    kind: DifferenceKind
    name: str
    """Of a `run` its `status`, `exit_code`, `duration_seconds`, `base_image`, or a limit: `timeout_seconds`, `memory_bytes`, …; else of a
    file, a package, …"""
    change: Literal["added", "removed", "changed"]
    """`added`: only the second run has it; `removed`: only the first."""
    first: Any
    """Its value in the first run: of a file its size in bytes, of a package its version, of a variable never; None if there is none."""
    second: Any
    """Its value in the second run."""


class Comparison(NamedTuple):
    """What differs between two runs."""

    first: str
    """The id of the first run."""
    second: str
    differences: tuple[Difference, ...]
    """By kind, then by name."""
    packages_unknown: tuple[str, ...]
    """The ids of the runs whose packages are not known; if there is any, packages were not compared."""

    def _repr_html_(self) -> str:
        return table_html(["kind", "name", "change", self.first, self.second], self.differences)


class _Side(NamedTuple):
    """One of the runs, with what it was started with."""

    run: RunRow
    task: TaskRow
    sha: str
    base_image: str
    packages: Packages | None
    metrics: Mapping[str, float]


def compare(context: Context, first_id: str, second_id: str) -> Comparison:
    """Return what differs between two runs.

    Raises:
        NotFound: one of them does not exist.
        BadBundle: a stored bundle is damaged.
        OSError: a stored bundle cannot be read.
    """
    first, second = _side(context, first_id), _side(context, second_id)
    unknown = tuple(dict.fromkeys(side.run.run_id for side in (first, second) if side.packages is None))
    differences = (
        *_differences("run", _facts(first), _facts(second)),
        *_code(context, first, second),
        *(() if unknown else _differences("package", _versions(first.packages), _versions(second.packages))),
        *_differences("argument", json.loads(first.task.arguments), json.loads(second.task.arguments)),
        *_variables(first.task, second.task),
        *_differences("metric", first.metrics, second.metrics),
    )
    return Comparison(first_id, second_id, differences, unknown)


def _side(context: Context, run_id: str) -> _Side:
    store = context.store
    run, orchestration = store.runs.get(run_id), store.orchestrations.of_run(run_id)
    task = store.task_versions.as_run(store.tasks.get(run.task_id), run_id)
    packages, metrics = run_packages.of_run(context, run), store.run_metrics.get(run_id)
    return _Side(run, task, orchestration.sha, orchestration.base_image, packages, metrics)


def _facts(side: _Side) -> dict[str, object]:
    found = {
        "status": str(side.run.status),
        "exit_code": side.run.exit_code,
        "duration_seconds": side.run.duration_seconds,
        "timeout_seconds": side.task.timeout_seconds,
        **side.task.resources._asdict(),
        "base_image": side.base_image,
    }
    return {name: value for name, value in found.items() if value is not None}


def _code(context: Context, first: _Side, second: _Side) -> Iterator[Difference]:
    if first.sha == second.sha:
        return
    was, now = (_files(context.bundles.path(side.sha)) for side in (first, second))
    for found in _differences("code", was, now):
        yield found._replace(**{side: value and value.size_bytes for side, value in (("first", found.first), ("second", found.second))})


@lru_cache(maxsize=4)
def _files(bundle_path: Path) -> Mapping[str, BundledFile]:
    """Return the files of a stored bundle, whose name is the SHA-256 of its bytes. Runs that are compared in a row share bundles."""
    from orchlite.bundles import bundle

    return bundle.files(bundle_path)


def _versions(packages: Packages | None) -> dict[str, str]:
    """Return versions by normalized name; a package of the environment hides the host's."""
    if packages is None:
        return {}
    from orchlite.environments.pypa import canonicalize_name

    listed = (line.rpartition("==") for line in (*packages.host, *packages.installed))
    return {"python": packages.python, **{canonicalize_name(name): version for name, _, version in listed}}


def _variables(first: TaskRow, second: TaskRow) -> Iterator[Difference]:
    """Yield the variables that one task lacks or gives another value, without any value. One that is passed on has no value here."""
    was, now = ({**dict.fromkeys(task.env_passthrough), **task.env} for task in (first, second))
    for found in _differences("variable", was, now):
        yield found._replace(first=None, second=None)


def _differences(kind: DifferenceKind, first: Mapping[str, object], second: Mapping[str, object]) -> Iterator[Difference]:
    for name in dict.fromkeys([*first, *second]) if kind == "run" else sorted({*first, *second}):
        was, now = first.get(name), second.get(name)
        if name not in first:
            yield Difference(kind, name, "added", None, now)
        elif name not in second:
            yield Difference(kind, name, "removed", was, None)
        elif json.dumps(was, sort_keys=True) != json.dumps(now, sort_keys=True):  # to Python, True is 1, and 1 is 1.0
            yield Difference(kind, name, "changed", was, now)
