"""Files of the machine's time zone database that are damaged, each of which stops its own tasks and no others; or updated."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zoneinfo
from collections.abc import Callable
from pathlib import Path

import pytest

Damage = Callable[[Path], object]

# Schedules a task in each of two zones.
_SCHEDULES = """
import sys
from datetime import datetime, UTC
from orchlite import Client
from orchlite.testing import ManualClock, StubProcess

with Client(sys.argv[1], clock=ManualClock(datetime(2026, 5, 5, tzinfo=UTC)), process=StubProcess()) as client:
    orchestration = client.upload_orchestration(path=sys.argv[2])
    for zone in ("Europe/Berlin", "Europe/Paris"):
        orchestration.run_scheduled(zone, "0 3 * * *", timezone=zone)
"""

# Prints what has become of them half a day later.
_KEEPS = """
import sys
from datetime import datetime, UTC
from orchlite import BadSchedule, Client
from orchlite.testing import ManualClock, StubProcess

clock = ManualClock(datetime(2026, 5, 5, 0, 1, tzinfo=UTC))
with Client(sys.argv[1], clock=clock, process=StubProcess()) as client:
    client.start()
    clock.advance(hours=12)
    tasks = {task.name(): task for task in client.list_tasks()}
    for name in sorted(tasks):
        print(name, tasks[name].status(), len(tasks[name].last_runs()))
    print(tasks["Europe/Berlin"].reason())
    try:
        print(tasks["Europe/Berlin"].resume())
    except BadSchedule as error:
        print(error)
"""


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """A time zone database of two zones."""
    for name in ("Berlin", "Paris"):
        [source, *_] = [path for folder in zoneinfo.TZPATH if (path := Path(folder, "Europe", name)).is_file()]
        (tmp_path / "zones" / "Europe").mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / "zones" / "Europe" / name)
    return tmp_path / "zones"


def _run(zones: Path, *arguments: object) -> str:
    environment = {**os.environ, "PYTHONTZPATH": str(zones)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(lambda path: os.truncate(path, path.stat().st_size // 2), "cannot be read", id="cut in the middle"),
        pytest.param(lambda path: os.truncate(path, 44), "cannot be read", id="cut after its header"),
        pytest.param(lambda path: os.truncate(path, 0), "cannot be read", id="empty"),
        pytest.param(lambda path: path.write_bytes(b"TZif2" + bytes(range(256))), "cannot be read", id="nonsense"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes().replace(b"CET-1CEST", b"CET-1,,,,")), "cannot be read", id="its rule"),
    ],
)
def test_a_damaged_file_stops_the_tasks_of_its_zone_only(
    zones: Path, tmp_path: Path, folder: Callable[..., Path], damage: Damage, words: str
) -> None:
    store = tmp_path / "store"
    _run(zones, "-c", _SCHEDULES, store, folder("print(1)"))
    damage(zones / "Europe" / "Berlin")
    berlin, paris, reason, resumed = _run(zones, "-c", _KEEPS, store).splitlines()
    assert (berlin, paris) == ("Europe/Berlin schedule_error 0", "Europe/Paris started 1")
    for text in (reason, resumed):
        assert "Europe/Berlin" in text
        assert words in text
    listed = _run(zones, "-m", "orchlite", "--store", store, "tasks")
    assert "Europe/Paris" in listed


# Schedules a task at nine and runs it for two days, or lists the slots of the next days and the next two runs.
_CAIRO = """
import sys
from datetime import datetime, timedelta, UTC
from orchlite import Client
from orchlite.testing import ManualClock, StubProcess

store, path, expression, what = sys.argv[1:]
start = datetime(2023, 4, 25, tzinfo=UTC)
clock = ManualClock(start if what == "make" else start + timedelta(days=2, hours=13))
with Client(store, clock=clock, process=StubProcess()) as client:
    if what == "make":
        client.upload_orchestration(path=path).run_scheduled("x", expression, timezone="Africa/Cairo")
        clock.advance(days=2, hours=12)
        if path.endswith("paused"):
            client.list_tasks()[0].pause()
    else:
        client.start()
        [task] = client.list_tasks()
        task.resume()
        clock.advance()
        print(f"{task.next_run_at():%d %H:%M}")
        clock.advance(days=2)
        for run in reversed(task.last_runs()):
            print(f"{run.scheduled_at():%d %H:%M}", end=",")
"""


@pytest.mark.parametrize(
    ("before", "after", "expression", "first", "slots"),
    [
        pytest.param("Tripoli", "Cairo", "0 9 * * *", "28 06:00", "25 07:00,26 07:00,27 07:00,28 06:00,29 06:00,", id="introduced"),
        pytest.param(
            "Cairo",
            "Tripoli",
            "0 9 * * *",
            "28 07:00",
            "25 07:00,26 07:00,27 07:00,28 07:00,29 07:00,",
            marks=pytest.mark.slow,
            id="abolished",
        ),
        pytest.param(
            "Tripoli",
            "Cairo",
            "0 9,10 28-30 * *",
            "28 06:00",
            "28 06:00,28 07:00,29 06:00,29 07:00,",
            marks=pytest.mark.slow,
            id="introduced, and the old time is a slot still",
        ),
        pytest.param(
            "Cairo",
            "Cairo",
            "0 9 * * *",
            "28 06:00",
            "25 07:00,26 07:00,27 07:00,28 06:00,29 06:00,",
            marks=pytest.mark.slow,
            id="not changed",
        ),
    ],
)
@pytest.mark.parametrize("state", ["started", pytest.param("paused", marks=pytest.mark.slow)])
def test_the_next_slot_follows_data_that_was_updated_between_two_hosts(
    tmp_path: Path, folder: Callable[..., Path], before: str, after: str, expression: str, first: str, slots: str, state: str
) -> None:
    bundle = folder("print(1)").rename(tmp_path / state)
    zones = tmp_path / "zones"
    (zones / "Africa").mkdir(parents=True)
    for name, what in ((before, "make"), (after, "go")):
        [source, *_] = [path for root in zoneinfo.TZPATH if (path := Path(root, "Africa", name)).is_file()]
        shutil.copy(source, zones / "Africa" / "Cairo")
        printed = _run(zones, "-c", _CAIRO, tmp_path / "store", bundle, expression, what)
    assert printed.splitlines() == [first, slots]
