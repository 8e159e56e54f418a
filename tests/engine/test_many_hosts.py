"""Several hosts on one store, in one process: who notices what, and whose places are taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import orchlite

MakeFolder = Callable[..., Path]
Open = Callable[..., orchlite.Client]
Until = Callable[[Callable[[], object]], None]


def test_what_one_host_queues_another_that_works_for_the_whole_store_runs(open_client: Open, folder: MakeFolder, until: Until) -> None:
    worker, busy = open_client(workers=2), open_client()
    blocking = busy.upload_orchestration(path=folder("import time; time.sleep(60)")).wait()
    quick = busy.upload_orchestration(path=folder("print('done')")).wait()
    blocking.run_once()
    task = quick.run_once()
    assert task.status() == "pending"
    worker.start()
    until(lambda: task.last_runs()[0].status() == "success")


def test_a_host_that_was_not_started_leaves_the_runs_of_others_alone(open_client: Open, folder: MakeFolder) -> None:
    idle, busy = open_client(), open_client()
    idle.run(folder("print('its own')"))
    busy.upload_orchestration(path=folder("import time; time.sleep(60)")).wait().run_once()
    task = busy.upload_orchestration(path=folder("print('not for others')")).run_once()
    idle._engine._store_changed()  # as after every change that it notices
    time.sleep(0.2)
    assert task.last_runs()[0].status() == "queued"


def test_a_run_that_was_adopted_takes_a_place(
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


def test_a_change_by_another_host_is_seen_without_being_asked_for(open_client: Open, folder: MakeFolder, until: Until) -> None:
    first, second = open_client(), open_client()
    task = first.upload_orchestration(path=folder("import time; time.sleep(60)")).wait().run_once()
    until(lambda: task.last_runs()[0].status() == "running")
    second.get_task_by_id(task.id()).kill()
    assert task.wait(20).status() == "killed"


def _thread_names() -> str:
    import threading

    return " ".join(thread.name for thread in threading.enumerate())
