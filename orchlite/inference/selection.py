"""Which columns of a result are returned, in which order, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

ALL = "*"
METADATA = "metadata"
SEPARATOR = "."
_GROUPS = {"time": 0, "in": 1, "out": 2}


class Selection(NamedTuple):
    """The three arguments `dataset`, `dataset_exclude` and `dataset_separator` of the platform's SDK."""

    dataset: Sequence[str] | None = None
    """Groups (`time`, `in`, `out`, `anomaly`, `metadata`, `*`) and single columns (`out.x`); None: `["*"]`."""
    exclude: Sequence[str] | None = None
    """Groups and single columns. A column that `dataset` names survives the exclusion of its group."""
    separator: str | None = None
    """Between group and name; None: a dot."""

    def columns(self, names: Iterable[str]) -> dict[str, str]:
        """Return the selected columns in their order: their names here, and the names under which they are returned.

        The order is time, `in`, `out`, the rest; inside a group by the part behind the first dot.
        """
        chosen = sorted(filter(self._is_selected, names), key=_place)
        separator = self.separator or SEPARATOR
        return {name: name.replace(SEPARATOR, separator, 1) for name in chosen}

    def _is_selected(self, name: str) -> bool:
        dataset, exclude = self.dataset or (ALL,), self.exclude or ()
        group = name.partition(SEPARATOR)[0]
        if name in exclude:
            return False
        if name in dataset and group != name:
            return True
        if group == METADATA:
            return METADATA in dataset and group not in exclude
        return (ALL in dataset or group in dataset) and group not in exclude


DEFAULT = Selection()


def _place(name: str) -> tuple[int | str, ...]:
    group, *rest = name.split(SEPARATOR)
    return (_GROUPS.get(group, len(_GROUPS)), *rest)
