"""Runs the program by MLflow Projects, called from Python, at each line of standard input: `in_mlflow.py PYTHON tuned FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import mlflow  # type: ignore[import-not-found]


def main(python: str, tuning: str, folder: str) -> None:
    assert tuning == "tuned"
    Path("MLproject").write_text(f"name: bare\nentry_points:\n  main:\n    command: {python} main.py\n")
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what MLflow prints is no reply
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.sqlite")
    for _ in sys.stdin:
        mlflow.projects.run(".", env_manager="local")
        print("ended", file=replies, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
