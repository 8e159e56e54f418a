"""The import hook by which this process imports orchlite's `wallaroo` under that name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

PACKAGE = "wallaroo"
_FOLDER = Path(__file__).parent / PACKAGE


class WallarooFinder:
    """Finds orchlite's `wallaroo`, and nothing else."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the module's spec; None for any other name. See `importlib.abc.MetaPathFinder`."""
        if name != PACKAGE:
            return None
        return spec_from_file_location(name, _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)])


def make_importable() -> None:
    """Let `import wallaroo` find orchlite's module if no other one is installed. Idempotent."""
    if WallarooFinder not in sys.meta_path:
        sys.meta_path.append(WallarooFinder)


def prefer() -> None:
    """Let the next `import wallaroo` find orchlite's module, even if another one is installed or imported."""
    for name in loaded():
        del sys.modules[name]
    sys.meta_path.insert(0, WallarooFinder)


def loaded() -> dict[str, ModuleType]:
    """Return the imported modules of any `wallaroo` package, by name."""
    return {name: module for name, module in sys.modules.items() if name == PACKAGE or name.startswith(f"{PACKAGE}.")}
