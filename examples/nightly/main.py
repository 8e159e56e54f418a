"""Keep a compressed copy of a SQLite database for each night, and the newest few of them: {"database": …, "folder": …, "keep": 7}."""

import gzip
import os
import shutil
import sqlite3
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import wallaroo


def copy_of(database: Path, target: Path) -> None:
    """A consistent copy, even while somebody writes to the database; there whole, or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent) as aside:
        plain = Path(aside, "copy.sqlite")
        source, copy = sqlite3.connect(database), sqlite3.connect(plain)
        source.backup(copy)
        copy.close()
        source.close()
        packed = Path(aside, "copy.gz")
        with plain.open("rb") as original, gzip.open(packed, "wb") as compressed:
            shutil.copyfileobj(original, compressed)
        packed.rename(target)


def main() -> None:
    arguments = wallaroo.task_args()
    database, folder = Path(arguments["database"]), Path(arguments["folder"])
    # The slot of a scheduled run, which may begin later than that; a run by hand has none.
    night = os.environ.get("ORCHLITE_SCHEDULED_AT", datetime.now(UTC).isoformat())[:10]
    target = folder / f"{database.stem}-{night}.sqlite.gz"
    copy_of(database, target)
    print(f"{target.name}: {target.stat().st_size} bytes")

    copies = sorted(folder.glob(f"{database.stem}-*.sqlite.gz"))
    for old in copies[: -arguments.get("keep", 7)]:
        old.unlink()
        print(f"{old.name}: removed")


if __name__ == "__main__":
    main()
