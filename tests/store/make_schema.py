"""Write `orchlite/store/schema.sql`: what all migrations together create. Run it after adding a migration."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from orchlite.store.migrate import SCHEMA, migrations

_HEAD = "-- What all migrations together create, for new stores. Written by tests/store/make_schema.py.\n\n"
_OBJECTS = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid"


def main() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for file in migrations():
            connection.executescript(file.read_text(encoding="utf-8"))
        SCHEMA.write_text(_HEAD + "".join(f"{sql};\n" for (sql,) in connection.execute(_OBJECTS)), encoding="utf-8")


if __name__ == "__main__":
    main()
