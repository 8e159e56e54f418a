"""A host that keeps schedules leaves a sign of life: its process, and when its scheduler last worked."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite.operations.liveness import signs_of_life
from orchlite.testing import ManualClock

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]
Travel = Callable[..., orchlite.Orchestration]
Until = Callable[[Callable[[], object]], None]


def test_only_a_host_that_keeps_schedules_leaves_a_sign_and_takes_it_away(open_client: OpenClient) -> None:
    idle, host = open_client(), open_client()
    hosts = idle.path() / "hosts"
    assert signs_of_life(hosts) == []
    host.start()
    [sign] = signs_of_life(hosts)
    assert sign.process_id == os.getpid()
    host.close()
    assert signs_of_life(hosts) == []
    idle.close()


def test_the_sign_of_a_dead_host_is_not_read(open_client: OpenClient) -> None:
    hosts = open_client().path() / "hosts"
    (hosts / "dead.lock").write_text("1")
    assert signs_of_life(hosts) == []


def test_the_sign_is_as_old_as_the_schedulers_last_work(travel: Travel, clock: ManualClock) -> None:
    orchestration = travel()
    orchestration.run_scheduled("hourly", "@hourly")
    hosts = orchestration._engine.context.folder.hosts
    [before] = signs_of_life(hosts)
    clock.advance(timedelta(hours=2))
    [after] = signs_of_life(hosts)
    assert after.at - before.at == timedelta(hours=2)


class TestHeartbeat:
    def test_it_is_run_while_schedules_are_kept(self, open_client: OpenClient, tmp_path: Path, until: Until) -> None:
        beats = tmp_path / "beats"
        client = open_client(heartbeat=["/bin/sh", "-c", f'echo "$ORCHLITE_STORE" >> {beats}'])
        client.list_tasks()
        assert not beats.exists()
        client.start()
        until(lambda: beats.exists() and beats.read_text() == f"{client.path()}\n")
        client.close()

    def test_a_failed_one_is_logged_and_harms_nothing(
        self, open_client: OpenClient, folder: MakeFolder, until: Until, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = open_client(heartbeat=["/bin/sh", "-c", "echo no route >&2; exit 7"]).start()
        until(lambda: "the heartbeat failed: /bin/sh ended with exit code 7: no route" in caplog.text)
        assert client.run(folder("print()")).status() == "success"
        client.close()

    def test_it_must_be_a_program_and_its_arguments(self, tmp_path: Path) -> None:
        with pytest.raises(orchlite.BadArgument, match="heartbeat"):
            orchlite.Client(tmp_path / "store", heartbeat="curl")
