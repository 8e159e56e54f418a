"""Passes requests to end runs to the cluster, whoever has made them: requests are in the store, and only a run's host asks its cluster."""

from __future__ import annotations

import logging
from collections import Counter

from orchlite.core.errors import Closed
from orchlite.core.threads import start_daemon
from orchlite.operations.cluster_site import send_kills
from orchlite.operations.context import UNUSABLE, Context

_POLL_SECONDS = 0.5
_log = logging.getLogger(__name__)


def start(context: Context) -> None:
    """Pass on the requests for the runs of this host, at once if it makes them, until the store is closed.

    Raises:
        ResourceExhausted: no thread could be started.
    """
    start_daemon(lambda: _send(context), "orchlite-kill-sender")


def _send(context: Context) -> None:
    sent, failed, unexplained = set[str](), Counter[str](), dict[str, float]()
    with context.changes.subscribed() as change:
        while not context.closed.is_set():
            try:
                send_kills(context, sent, failed, unexplained)
            except Closed:
                return
            except UNUSABLE as error:
                context.give_up(error)
            except Exception:
                # Whatever went wrong, later requests must still be passed on.
                _log.warning("requests to end runs cannot be passed on at the moment; trying again", exc_info=True)
            change.wait(_POLL_SECONDS)
