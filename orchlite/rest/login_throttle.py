"""How often log-ins may fail: a delay for the account and for the client's address that doubles with each failure.

Knows counts and times only; which log-in fails, and what the client receives, is decided in `login`.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

_FREE_FOR_ACCOUNT = 3
_FREE_FOR_ADDRESS = 10
_MAX_DELAY_SECONDS = 60.0
_FORGOTTEN_AFTER_SECONDS = 15 * 60.0
_MAX_ENTRIES = 4096

_Key = tuple[str, str]


class _Failures(NamedTuple):
    in_a_row: int
    last_at: float
    next_at: float


_NONE = _Failures(0, float("-inf"), float("-inf"))


class LoginThrottle:
    """Counts failed log-ins by account and by address, and says how long the next one must wait. Thread-safe.

    The first 3 failures of an account and the first 10 of an address cost nothing; then the delay doubles from 1 s up to 60 s. A
    failure counts for 15 minutes after the last one. Names without an account count like others, so that delays reveal no names.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures: OrderedDict[_Key, _Failures] = OrderedDict()

    def begin(self, username: str, address: str) -> float:
        """Return 0 and count a failure until `succeeded` is called, or return the seconds after which to try again.

        Counted in advance, so that guesses sent at the same time are not free.
        """
        now = self._monotonic()
        with self._lock:
            keys = _keys(username, address)
            wait_seconds = max(self._found(key, now).next_at for key in keys) - now
            if wait_seconds > 0:
                return wait_seconds
            for key, free in zip(keys, (_FREE_FOR_ACCOUNT, _FREE_FOR_ADDRESS), strict=True):
                count = self._found(key, now).in_a_row + 1
                delay_seconds = 0.0 if count <= free else min(2.0 ** min(count - free - 1, 10), _MAX_DELAY_SECONDS)
                self._failures[key] = _Failures(count, now, now + delay_seconds)
                self._failures.move_to_end(key)
            while len(self._failures) > _MAX_ENTRIES:
                self._failures.popitem(last=False)
        return 0.0

    def failures(self, username: str) -> int:
        """Return how often log-ins to this account have failed in a row."""
        with self._lock:
            return self._found(("account", username), self._monotonic()).in_a_row

    def succeeded(self, username: str, address: str) -> None:
        """Forget the account's failures, and take back the one that `begin` counted for the address, but none of its others.

        Otherwise an own account would make guesses at others free.
        """
        account, network = _keys(username, address)
        with self._lock:
            self._failures.pop(account, None)
            if (found := self._failures.get(network)) is not None:
                self._failures[network] = _Failures(found.in_a_row - 1, found.last_at, found.last_at)

    def _found(self, key: _Key, now: float) -> _Failures:
        found = self._failures.get(key, _NONE)
        return found if now - found.last_at < _FORGOTTEN_AFTER_SECONDS else _NONE


def _keys(username: str, address: str) -> tuple[_Key, _Key]:
    return ("account", username), ("address", _network(address))


def _network(address: str) -> str:
    """Return the /64 network of an IPv6 address, whose owner has all of it; other addresses as they are."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
