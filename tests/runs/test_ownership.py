"""What the owner of a run leaves in its folder for those who must end the run if the owner cannot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchlite.runs.runner.ownership import Reservation


@pytest.mark.parametrize("pids", [(os.getpid(), 1), (1, os.getpid())], ids=["shorter", "longer"])
def test_a_program_that_is_started_again_replaces_the_session_that_was_noted(tmp_path: Path, pids: tuple[int, int]) -> None:
    (tmp_path / "1").mkdir()
    reservation = Reservation({"run_id": "a-run", "attempt": 1, "folder": str(tmp_path), "environment_lock": None})
    ownership = reservation.own()
    for pid in pids:
        ownership.note_program(pid)
    noted = json.loads((tmp_path / "started.json").read_text())
    reservation.close()
    assert (noted["attempt"], noted["session"]) == (1, pids[-1])
