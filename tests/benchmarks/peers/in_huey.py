"""Runs the program by huey with SQLite at each line of standard input: `in_huey.py PYTHON shipped|tuned FOLDER`."""

from __future__ import annotations

import subprocess
import sys

from huey import SqliteHuey  # type: ignore[import-not-found]

_TUNED_SECONDS = 0.001
"""How often the consumer asks for work, and the caller for the result, if tuned: as shipped, 0.1 s, and more after a pause."""


def main(python: str, tuning: str, folder: str) -> None:
    huey = SqliteHuey(filename=f"{folder}/huey.sqlite")

    @huey.task()  # type: ignore[untyped-decorator]
    def execute() -> bool:
        subprocess.run([python, "main.py"], check=True)
        return True

    bounds = {"initial_delay": _TUNED_SECONDS, "max_delay": _TUNED_SECONDS} if tuning == "tuned" else {}
    waiting = {"max_delay": _TUNED_SECONDS} if tuning == "tuned" else {}
    consumer = huey.create_consumer(**bounds)
    consumer.start()
    for _ in sys.stdin:
        execute().get(blocking=True, **waiting)
        print("ended", flush=True)
    consumer.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
