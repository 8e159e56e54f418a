"""`python -m orchlite.node`: reports what this node lacks, or executes the job in the current folder.

Only this file, and what it imports at its top, must run on an interpreter that is too old.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.util import find_spec

from orchlite.runs import job_output

_PYTHON = (3, 11)
_PACKAGES = ("packaging", "platformdirs", "virtualenv")
_DOCUMENT = "job.json"


def main() -> int:
    """Execute the job; return the exit code."""
    try:
        with open(_DOCUMENT, "rb") as file:  # noqa: PTH123
            content = file.read()
    except FileNotFoundError:
        sys.stderr.write(
            "There is no " + _DOCUMENT + " in this folder. Hosts whose runs are executed on a cluster start this program there.\n"
        )
        return 2
    lacking = _lacking()
    if lacking is not None:
        run, reason = json.loads(content)["run"], f"it could not be started: {lacking}"
        os.write(1, job_output.of_result(1, job_output.bare_result(run["run_id"], run["attempt"], "failure", reason, time.time_ns())))
        return 1
    from orchlite.node.program import execute

    return execute(content)


def _lacking() -> str | None:
    """Return what is missing here, in one line."""
    if sys.version_info < _PYTHON:
        found, needed = (".".join(map(str, version[:2])) for version in (sys.version_info, _PYTHON))
        return f"the node's Python ({sys.executable}) is {found}, and {needed} or newer is needed."
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if not missing:
        return None
    return (
        f"the node's Python ({sys.executable}) lacks {', '.join(missing)}. Install {'it' if len(missing) == 1 else 'them'} there: "
        f"{sys.executable} -m pip install {' '.join(missing)}"
    )


if __name__ == "__main__":
    sys.exit(main())
