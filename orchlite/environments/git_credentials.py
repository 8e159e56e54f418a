"""Passwords of `git+https` addresses, kept out of git's command line, which every account of the machine can read.

git takes them from a file of `git-credential-store` instead, and only for the hosts in question, so that the credential helpers that the
account has configured serve all others. Needs git 2.31, which reads configuration from `GIT_CONFIG_COUNT`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from shlex import quote as shell_quoted
from typing import NamedTuple
from urllib.parse import quote, unquote

from orchlite.core.files import private_opener

_ADDRESS = re.compile(r"\bgit\+https://(?P<credentials>[^/\s?#]*)@(?P<host>[^/\s?#@]+)(?P<path>/[^\s?#@]*)")


class Credential(NamedTuple):
    """What git needs to know to read one repository."""

    username: str
    password: str
    host: str
    path: str

    def __repr__(self) -> str:
        return f"Credential({self.host!r})"

    @property
    def line(self) -> str:
        """A line of the file that `git-credential-store` reads."""
        return f"https://{quote(self.username, safe='')}:{quote(self.password, safe='')}@{self.host}{self.path}"


def split_credentials(requirements: Iterable[str]) -> tuple[list[str], list[Credential]]:
    """Return the requirement lines without the credentials of `git+https` addresses, and these."""
    lines, found = [], []
    for line in requirements:
        match = _ADDRESS.search(line)
        if match is not None:
            username, _, password = match["credentials"].partition(":")
            found.append(Credential(unquote(username), unquote(password), match["host"], match["path"]))
            line = f"{line[: match.start('credentials')]}{line[match.start('host') :]}"
        lines.append(line)
    return lines, found


def write_credentials(file: Path, credentials: Iterable[Credential]) -> dict[str, str]:
    """Write the file and return the variables with which git reads it. Without credentials do nothing.

    Raises:
        OSError: the file exists, or cannot be written.
    """
    known = list(dict.fromkeys(credentials))
    if not known:
        return {}
    with open(file, "x", encoding="utf-8", opener=private_opener) as lines:
        lines.writelines(f"{credential.line}\n" for credential in known)
        # git asks for a host without a path, unless `credential.useHttpPath` is set; then the host's first line counts.
        lines.writelines(f"{one._replace(path='').line}\n" for one in known)
    settings: list[tuple[str, str]] = []
    for host in dict.fromkeys(one.host for one in known):
        section = f"credential.https://{host}"
        # An empty helper drops those configured before it.
        settings += [(f"{section}.helper", ""), (f"{section}.helper", f"store --file={shell_quoted(str(file))}")]
        if len({(one.username, one.password) for one in known if one.host == host}) > 1:
            settings.append((f"{section}.useHttpPath", "true"))
    variables = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_TERMINAL_PROMPT": "0"}
    for number, (name, value) in enumerate(settings):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
