"""A host that keeps schedules leaves a sign of life: its process, and when its scheduler last worked."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import orchlite
from orchlite.operations.liveness import signs_of_life
from orchlite.testing import ManualClock

OpenClient = Callable[..., orchlite.Client]
Travel = Callable[..., orchlite.Orchestration]


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
