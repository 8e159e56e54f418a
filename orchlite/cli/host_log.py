"""The log of `start` and `serve` on standard error, where a service manager's journal collects it."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime

from orchlite.cli.output import time_text

_ID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


class _LineFormatter(logging.Formatter):
    """Formats a record: local time, the level of warnings, and the message with shortened ids."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        level = f"{record.levelname} " if record.levelno >= logging.WARNING else ""
        logger = "" if record.name.startswith("orchlite") else f"{record.name}: "
        text = _ID.sub(r"\1", record.message)
        return f"{time_text(datetime.fromtimestamp(record.created, UTC))} {level}{logger}{text}"


def log_to_stderr() -> None:
    """Log to standard error: what orchlite does, and warnings of others."""
    lines = logging.StreamHandler()
    lines.setFormatter(_LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    logging.getLogger("orchlite").setLevel(logging.INFO)
