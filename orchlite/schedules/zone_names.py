"""Names of time zones that are unusable: the error for each cause, and the names that may have been meant."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from orchlite.core.errors import BadSchedule, DeviceFailed
from orchlite.core.files import is_file
from orchlite.core.system_errors import device_error

NOT_ZONES = ("right/", "localtime", "posixrules")
"""Zone files that name no zone: `right/` counts leap seconds, which POSIX time does not; the others depend on the machine."""

_SHOWN_CHARACTERS = 80
_OFFSET = re.compile(
    r"(?P<prefix>(?:etc/)?(?:utc|gmt))? ?(?P<sign>[+-]) ?(?P<hours>[0-9]{1,2})(?::?(?P<minutes>[0-9]{2}))?", re.IGNORECASE | re.ASCII
)
_EXAMPLES = "Use a name of the IANA database, such as 'UTC' or 'Europe/Berlin'."


def unusable(timezone: str, error: Exception) -> BadSchedule | DeviceFailed:
    """Return the error for a zone that could not be read: there is none, its data is damaged, or too many files are open."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return device_error(error, f"The data of time zone {_shown(timezone)} cannot be read")
    if not isinstance(error, KeyError) and _has_file(timezone):
        return BadSchedule(
            f"The data of time zone {_shown(timezone)} cannot be read on this machine: {type(error).__name__}: {error!s:.200}.",
            hint="Install the machine's time zone data (tzdata) again.",
            field="timezone",
        )
    return unknown(timezone)


def _has_file(timezone: str) -> bool:
    from zoneinfo import TZPATH

    is_name = "." not in timezone and not timezone.startswith("/") and len(timezone) <= _SHOWN_CHARACTERS
    return is_name and any(is_file(Path(folder, timezone)) for folder in TZPATH)


def zone_names() -> list[str]:
    """Return the names of the zones that this machine has data for, sorted; `UTC` alone if the data cannot be listed."""
    from zoneinfo import available_timezones

    try:
        return sorted(available_timezones().difference(NOT_ZONES))
    except OSError:  # it reads every file of the database, and one of them is not readable
        return ["UTC"]


def zone_file_names() -> list[str]:
    """Return the names of the machine's zone files, sorted, without reading them: a shell that completes a name does not wait for that."""
    from zoneinfo import TZPATH

    for top in TZPATH:
        if names := sorted(_names_below(top)):
            return names
    return zone_names()


def _names_below(top: str) -> Iterator[str]:
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name[:1].isupper()]  # neither `posix` nor `right`, which repeat the others
        beginning = f"{folder}/"[len(top) + 1 :]
        yield from (beginning + name for name in files if name[:1].isupper() and "." not in name)


def unknown(timezone: str) -> BadSchedule:
    """Return the error for a name that no zone has, with the name that may have been meant."""
    return BadSchedule(f"There is no time zone {_shown(timezone)}.", hint=_hint(timezone), field="timezone")


def _hint(timezone: str) -> str:
    from difflib import get_close_matches

    names = zone_names()
    if not names:
        return "This machine has no time zone data: `pip install tzdata` installs it. UTC works without."
    if offset := _OFFSET.fullmatch(timezone):
        return _hint_for_offset(offset, names)
    names = [name for name in names if not _OFFSET.fullmatch(name)]  # a guess at a sign would be as often wrong as right
    known = {name.rpartition("/")[2].lower(): name for name in names} | {name.lower(): name for name in names}
    if close := get_close_matches(timezone[:_SHOWN_CHARACTERS].lower(), known, n=1, cutoff=0.8):
        return f"Did you mean {known[close[0]]!r}?"
    return _EXAMPLES


def _hint_for_offset(offset: re.Match[str], names: list[str]) -> str:
    hours = int(offset["hours"])
    if offset["minutes"] and int(offset["minutes"]):
        return _EXAMPLES
    if hours == 0:
        return "Did you mean 'UTC'?"
    is_posix = (offset["prefix"] or "").lower() == "etc/gmt"
    is_ahead = (offset["sign"] == "+") != is_posix
    name = f"Etc/GMT{'-' if is_ahead else '+'}{hours}"
    if name not in names:
        return _EXAMPLES
    where = f"{hours} hour{'s' * (hours != 1)} {'ahead of' if is_ahead else 'behind'} UTC"
    return f"{_EXAMPLES} {name!r} is {where}: the sign in such names is the opposite."


def _shown(timezone: str) -> str:
    return repr(timezone if len(timezone) <= _SHOWN_CHARACTERS else f"{timezone[:_SHOWN_CHARACTERS]}…")
