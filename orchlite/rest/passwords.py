"""How passwords are kept: `scrypt$N$r$p$SALT$KEY` (RFC 7914), salt and key in URL-safe base64.

`python -m orchlite.rest.passwords` prints the hash of a password, to be put into a file of accounts.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from orchlite.core.settings import MEBIBYTE

_PREFIX = "scrypt$"
_KEY_BYTES = 32
_MAX_MEMORY_BYTES = 256 * MEBIBYTE
_MAX_P = 64


class _Hash(NamedTuple):
    n: int
    r: int
    p: int
    salt: bytes
    key: bytes


def hash_password(password: str, *, n: int = 2**14, r: int = 8, p: int = 5) -> str:
    """Return a salted hash of the password. The default cost is the OWASP recommendation that needs least memory: 16 MiB."""
    salt = os.urandom(16)
    key = _derive(password, _Hash(n, r, p, salt, b""))
    return f"{_PREFIX}{n}${r}${p}${urlsafe_b64encode(salt).decode()}${urlsafe_b64encode(key).decode()}"


def is_hash(password: str) -> bool:
    """Return whether the text is a hash; False for a password in plain text.

    Raises:
        ValueError: it begins like a hash, and is none, or would take over 256 MiB to check.
    """
    if not password.startswith(_PREFIX):
        return False
    _parsed(password)
    return True


def matches(given: str, known: str | None) -> bool:
    """Return whether `given` is the password that is kept as `known`, a hash or plain text. None matches nothing.

    Takes the time of one hash in every case, so that the time does not reveal which names exist. Blocks for it, without the GIL.
    """
    if known is not None and is_hash(known):
        found = _parsed(known)
        return hmac.compare_digest(_derive(given, found), found.key)
    _derive(given, _DECOY)
    return hmac.compare_digest(_digest(given), _digest(known or "")) and known is not None


_DECOY = _Hash(2**14, 8, 5, b"no account", b"")


def _parsed(text: str) -> _Hash:
    try:
        n, r, p, salt, key = text.removeprefix(_PREFIX).split("$")
        found = _Hash(int(n), int(r), int(p), urlsafe_b64decode(salt), urlsafe_b64decode(key))
    except ValueError:
        raise ValueError("it is not of the form scrypt$N$r$p$SALT$KEY") from None
    is_power_of_two = found.n > 1 and found.n & (found.n - 1) == 0
    if not is_power_of_two or min(found.r, found.p) < 1 or found.p > _MAX_P or 128 * found.n * found.r > _MAX_MEMORY_BYTES:
        raise ValueError("N is not a power of two, or N, r or p is out of range")
    if len(found.key) != _KEY_BYTES:
        raise ValueError(f"the key does not have {_KEY_BYTES} bytes")
    return found


def _derive(password: str, parameters: _Hash) -> bytes:
    n, r, p, salt, _ = parameters
    memory_bytes = 128 * r * (n + p + 2)  # what OpenSSL allocates
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=memory_bytes + MEBIBYTE, dklen=_KEY_BYTES)


def _digest(text: str) -> bytes:
    """Hash a text to a fixed length, so that comparing it does not reveal how long it is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _main() -> None:
    if sys.stdin.isatty():
        from getpass import getpass

        password = getpass()
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise SystemExit("The password is empty.")
    print(hash_password(password), flush=True)


if __name__ == "__main__":
    _main()
