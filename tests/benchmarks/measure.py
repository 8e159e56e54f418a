"""How the benchmarks measure: what is compared runs interleaved in one process, and every figure is a ratio of medians."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

Action = Callable[[], object]
REPORTED: list[tuple[str, float, str]] = []
"""The measures so far, their values and units."""


def seconds_of(action: Action) -> float:
    """How long one call takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def interleaved(actions: dict[str, Action], rounds: int) -> dict[str, list[float]]:
    """Seconds of each action, in rounds of one call each, after a round that does not count."""
    for action in actions.values():
        action()
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            taken[name].append(seconds_of(action))
    return taken


def report(measure: str, value: float, unit: str, goal: str, **more: object) -> None:
    """Print one measure as one JSON line."""
    REPORTED.append((measure, value, unit))
    print(json.dumps({"measure": measure, "value": round(value, 4), "unit": unit, "goal": goal, **more}), flush=True)


def summary(seconds: list[float]) -> dict[str, float]:
    """Median, least and most, in milliseconds."""
    return {
        "median_ms": round(statistics.median(seconds) * 1e3, 3),
        "min_ms": round(min(seconds) * 1e3, 3),
        "max_ms": round(max(seconds) * 1e3, 3),
    }


def ratio(taken: dict[str, list[float]], above: str, below: str) -> float:
    """The ratio of two medians."""
    return statistics.median(taken[above]) / statistics.median(taken[below])
