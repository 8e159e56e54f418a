"""Runs the program by APScheduler at each line of standard input: `in_apscheduler.py PYTHON memory|sqlite FOLDER`."""

from __future__ import annotations

import queue
import subprocess
import sys
from typing import Any

from apscheduler.events import EVENT_JOB_EXECUTED  # type: ignore[import-not-found]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-not-found]


def execute(python: str) -> None:
    subprocess.run([python, "main.py"], check=True)


def main(python: str, store: str, folder: str) -> None:
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    scheduler = BackgroundScheduler()
    if store == "sqlite":
        scheduler.add_jobstore("sqlalchemy", url=f"sqlite:///{folder}/jobs.sqlite")
    scheduler.add_listener(ended.put, EVENT_JOB_EXECUTED)
    scheduler.start()
    for _ in sys.stdin:
        scheduler.add_job(execute, args=[python])
        ended.get()
        print("ended", flush=True)
    scheduler.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
