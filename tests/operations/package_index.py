"""A package index that a test fills."""

from __future__ import annotations

import uuid
from pathlib import Path
from zipfile import ZipFile


class Index:
    """An index on disk, of packages that were never installed before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = uuid.uuid4().hex[:8]

    @property
    def url(self) -> str:
        return self._folder.as_uri() + "/"

    def add(self, name: str, version: str) -> str:
        """Add a package; return the requirement for it."""
        words, name = f"{name} {version}", f"{name}_{self._mark}"
        folder = self._folder / name.replace("_", "-")
        folder.mkdir(parents=True, exist_ok=True)
        wheel = f"{name}-{version}-py3-none-any.whl"
        with ZipFile(folder / wheel, "w") as archive:
            archive.writestr(f"{name}.py", f"WORDS = {words!r}\n")
            archive.writestr(f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{name}-{version}.dist-info/RECORD", "")
        self._list(folder)
        return f"{name}=={version}"

    def remove(self, requirement: str) -> None:
        """Remove what `add` has added."""
        [wheel] = self._folder.glob(f"*/{requirement.replace('==', '-')}-*.whl")
        wheel.unlink()
        self._list(wheel.parent)

    def _list(self, folder: Path) -> None:
        (folder / "index.html").write_text("".join(f'<a href="{each.name}">{each.name}</a>' for each in folder.glob("*.whl")))
