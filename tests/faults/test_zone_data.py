"""Files of the machine's time zone database that are damaged or missing: each stops its own tasks, and no others."""

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
