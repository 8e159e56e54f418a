"""Runs the program in a session of nox."""

from __future__ import annotations

import nox  # type: ignore[import-not-found]


@nox.session  # type: ignore[untyped-decorator]
def run(session: nox.Session) -> None:
    session.run("python", "main.py")
