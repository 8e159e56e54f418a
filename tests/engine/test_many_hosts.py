"""Several hosts on one store, in one process: which of them executes a run, and which notices a change."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import orchlite

MakeFolder = Callable[..., Path]
Open = Callable[..., orchlite.Client]
Until = Callable[[Callable[[], object]], None]


def test_a_host_that_serves_the_whole_store_executes_what_another_has_queued(open_client: Open, folder: MakeFolder, until: Until) -> None:
    worker, busy = open_client(workers=2), open_client()
    blocking = busy.upload_orchestration(path=folder("import time; time.sleep(60)")).wait()
    quick = busy.upload_orchestration(path=folder("print('done')")).wait()
    blocking.run_once()
    task = quick.run_once()
    assert task.status() == "pending"
    worker.start()
    until(lambda: task.last_runs()[0].status() == "success")


def test_a_host_that_was_not_started_does_not_execute_the_runs_of_others(open_client: Open, folder: MakeFolder) -> None:
    idle, busy = open_client(), open_client()
    idle.run(folder("print('its own')"))
    busy.upload_orchestration(path=folder("import time; time.sleep(60)")).wait().run_once()
    task = busy.upload_orchestration(path=folder("print('not for others')")).run_once()
    idle._engine._store_changed()  # as after every change that it notices
    time.sleep(0.2)
    assert task.last_runs()[0].status() == "queued"


def test_an_adopted_run_occupies_a_worker_slot(
    open_client: Open, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
) -> None:
    first = open_client()
    adopted = first.upload_orchestration(path=folder(waiting_program)).wait().run_once().last_runs()[0]
    until(lambda: "begun" in adopted.logs())
    first.close(drain=False)
    second = open_client()  # one worker
    until(lambda: "orchlite-adopted" in _thread_names())
    task = second.upload_orchestration(path=folder("print('next')")).run_once()
    time.sleep(0.5)
    assert task.last_runs()[0].status() == "queued"
    gate.touch()
    assert task.wait(30).status() == "success"
    assert second.get_task_run_by_id(adopted.id()).status() == "success"


def test_a_change_by_another_host_wakes_the_workers(open_client: Open, folder: MakeFolder, until: Until) -> None:
    first, second = open_client(), open_client()
    task = first.upload_orchestration(path=folder("import time; time.sleep(60)")).wait().run_once()
    until(lambda: task.last_runs()[0].status() == "running")
    second.get_task_by_id(task.id()).kill()
    assert task.wait(20).status() == "killed"


def _thread_names() -> str:
    import threading

    return " ".join(thread.name for thread in threading.enumerate())
