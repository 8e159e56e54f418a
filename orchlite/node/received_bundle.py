"""Finds the bundle that came with the job."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from orchlite.core.errors import BadBundle
from orchlite.runs import job_packages


def find_bundle(sha: str) -> Path:
    """Return the path of the bundle, which is in the current folder or in one of PYTHONPATH.

    Raises:
        BadBundle: it is in none of them, or is not the one that was uploaded.
        OSError: it cannot be read.
    """
    places = [Path(folder, job_packages.bundle_name(sha)).absolute() for folder in ("", *sys.path)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise BadBundle(f"The bundle {sha} has not reached the node.", hint="Run the task again.")
    with found.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha:
        raise BadBundle(f"The bundle that reached the node is damaged: its SHA-256 is {digest}, not {sha}.", hint="Run the task again.")
    return found
