"""Put examples/nightly on a schedule, let nights pass on a clock that is moved by hand, and kill it after three runs."""

import sqlite3
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from orchlite import Client
from orchlite.testing import ManualClock

clock = ManualClock(datetime(2026, 3, 27, 12, tzinfo=UTC))  # two days before Berlin's clocks jump from 2:00 to 3:00

with tempfile.TemporaryDirectory() as scratch, Client.temporary(clock=clock) as wl:
    database = sqlite3.connect(Path(scratch, "orders.sqlite"))
    database.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY)")
    copies = Path(scratch, "copies")
    copies.mkdir()

    nightly = wl.upload_orchestration(path=Path(__file__).with_name("nightly"))
    arguments = {"database": str(Path(scratch, "orders.sqlite")), "folder": str(copies), "keep": 2}
    task = nightly.run_scheduled("nightly copy", "30 2 * * *", arguments, timezone="Europe/Berlin")

    while len(task.last_runs()) < 3:
        database.execute("INSERT INTO orders DEFAULT VALUES")
        database.commit()
        clock.advance(days=1)
    task.kill()
    clock.advance(days=2)
    database.close()

    for run in reversed(task.last_runs()):
        print(run.scheduled_at(), run.status(), str(run.logs()).replace("\n", "; "))
    print(f"{task.status()} after {len(task.last_runs())} runs; kept: {', '.join(sorted(path.name for path in copies.iterdir()))}")
