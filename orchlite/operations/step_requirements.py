"""The requirements.txt in the ZIP of a Python step: read at upload, compared with what is installed before the step is imported.

They are not installed. A step runs in the process that infers, whose packages are imported already: packages of an environment of its
own would meet other versions of numpy there than they were installed with.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from lzma import LZMAError
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchlite.core.errors import BadModel, BadRequirement
from orchlite.core.task_context import in_task
from orchlite.environments.requirement_lines import CONTENT_BYTES
from orchlite.environments.requirements import parse_requirements
from orchlite.inference import libraries

if TYPE_CHECKING:
    from orchlite.environments.pypa import Requirement

_NAME = "requirements.txt"
_SOURCES = rb"(?m)^\s*(?:-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host|--no-index)\b.*$"
"""Lines that say where packages are, which does not matter where none is installed."""


def read(file: Path | IO[bytes], model: str) -> tuple[str, ...]:
    """Return the lines of the requirements.txt in a ZIP that is nearest to its root; none if there is none.

    Raises:
        BadModel: the ZIP cannot be read, or a line is refused.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = (name for name in archive.namelist() if name.split("/")[-1] == _NAME)
            found = min(names, key=lambda name: name.count("/"), default=None)
            content = b"" if found is None else archive.open(found).read(CONTENT_BYTES + 1)
    except (zipfile.BadZipFile, EOFError, LZMAError, OSError, RuntimeError, ValueError, zlib.error) as error:
        message = f"The file of model {model!r} cannot be unpacked: {error}"
        raise BadModel(message, hint="Upload a Python file, or a ZIP with one.", model=model) from error
    try:
        return parse_requirements(re.sub(_SOURCES, b"", content), name=f"{found} of model {model!r}").lines
    except BadRequirement as error:
        raise BadModel(error.message, hint=error.hint, **error.details, model=model) from error


def check_installed(path: Path, model: str) -> None:
    """Check that this process can import what a Python step requires. A file that is no ZIP requires nothing.

    Raises:
        BadModel: it requires what is not installed here, or another version of it. `details["requirements"]` has the lines.
    """
    lines = read(path, model) if zipfile.is_zipfile(path) else ()
    unmet = dict(_unmet(line for line in lines if not line.startswith("-")))
    if unmet:
        raise _not_installed(model, unmet)


def _unmet(lines: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each requirement that is not met, with the version that is installed; for extras, also those of the package."""
    from orchlite.environments.pypa import Requirement

    known = list(lines)
    for line in known:  # grows by the requirements of extras, each once: they may require each other
        requirement = Requirement(line.partition(" --hash=")[0])
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        version = libraries.installed_version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            yield _shown(requirement), version
        elif requirement.extras:
            known += [found for found in _of_extras(requirement) if found not in known]


def _of_extras(requirement: Requirement) -> Iterator[str]:
    from orchlite.environments.pypa import Requirement

    for line in libraries.dependencies(requirement.name):
        needed = Requirement(line)
        if needed.marker is not None and any(needed.marker.evaluate({"extra": extra}) for extra in requirement.extras):
            needed.marker = None
            yield str(needed)


def _shown(requirement: Requirement) -> str:
    shown = requirement.name + (f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else "")
    return shown + (f" @ {requirement.url}" if requirement.url else str(requirement.specifier))


def _not_installed(model: str, unmet: dict[str, str | None]) -> BadModel:
    texts = [line if version is None else f"{line} (installed is {version})" for line, version in unmet.items()]
    message = f"The Python step {model!r} requires {', '.join(texts)}, which {_is_are(texts)} not installed in this environment."
    where = "Add it to the bundle's requirements.txt" if in_task() else "Install it in the environment of the process that infers"
    hint = f"{where}, or change the requirements.txt in the model's ZIP and upload it again."
    return BadModel(message, hint=hint, model=model, requirements=list(unmet))


def _is_are(texts: Sequence[str]) -> str:
    return "is" if len(texts) == 1 else "are"
