"""What a claimed run is started with: its command, its folder, its limits and every variable of its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from orchlite.core import private_folders
from orchlite.core.folders import AttemptFolder
from orchlite.core.owner import owner_id
from orchlite.core.task_context import HOST_LIBRARIES_VARIABLE
from orchlite.environments.base_image import HOST
from orchlite.environments.builds import Installation
from orchlite.operations import run_packages
from orchlite.operations.context import Assignment, Context
from orchlite.runs.spec import RunSpec

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_LOCALE = ("LANG", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME")
# LD_LIBRARY_PATH: an interpreter built with a shared library, and without its path, does not start otherwise.
_PASSED_ON = ("PATH", "HOME", "TZ", "TMPDIR", "LD_LIBRARY_PATH", *_LOCALE, *_CERTIFICATES, *_PROXIES, *map(str.upper, _PROXIES))


def spec_of(context: Context, assignment: Assignment, installation: Installation) -> RunSpec:
    """Return the spec of a claimed run, with the values that the variables of this process have now.

    Raises:
        Closed: the store was closed meanwhile.
        StoreDamaged: the store accepts no writes any more.
    """
    run, task, orchestration = assignment.run, assignment.task, assignment.orchestration
    folder = context.folder.run(run.run_id)
    attempt = folder.attempt(run.attempt)
    env = _environment(context, assignment, attempt, installation)
    return RunSpec(
        run_id=run.run_id,
        attempt=run.attempt,
        folder=str(folder.path),
        command=(str(installation.python), "-u", orchestration.entrypoint),
        working_folder=str(attempt.work),
        env=env,
        log=str(attempt.log),
        timeout_seconds=task.timeout_seconds,
        grace_seconds=context.settings.grace_seconds,
        log_bytes=context.settings.limits.log_bytes,
        leash=context.settings.leash,
        environment_lock=str(installation.lock),
        packages_sha=run_packages.keep(context, orchestration, installation),
        preload=context.settings.preload,
        **task.resources._asdict(),
    )


def _environment(context: Context, assignment: Assignment, attempt: AttemptFolder, installation: Installation) -> Mapping[str, str]:
    """Return the program's whole environment. In case of conflict, orchlite's own variables win, then the task's, then the host's.

    The environment's programs come first on PATH, wherever PATH was set.
    """
    task, orchestration = assignment.task, assignment.orchestration
    passed = {name: os.fsdecode(value) for name in _PASSED_ON if (value := os.environb.get(name.encode())) is not None}
    requested = {name: os.environ[name] for name in task.env_passthrough if name in os.environ}
    host = context.environments.host_packages().directories
    own = {
        "WALLAROO_TASK_ID": task.task_id,
        "TASK_ID": task.task_id,
        "ORCH_ID": orchestration.orchestration_id,
        "ORCH_SHA": orchestration.sha,
        "ORCH_OWNER_ID": owner_id(),
        "TASK_DEBUG": "true" if task.debug else "false",
        "ORCHLITE_STORE": str(context.folder.path),
        "ORCHLITE_CACHE": str(context.environments.cache),
        "ORCHLITE_RUN_FOLDER": str(attempt.path),
        "ORCHLITE_RUN_TOKEN": assignment.run.run_id,
        "ORCHLITE_SDK": str(context.environments.sdk()),
        "ORCHLITE_HOST_PATHS": os.pathsep.join(host if orchestration.base_image == HOST else ()),
        HOST_LIBRARIES_VARIABLE: os.pathsep.join(host),
    }
    if context.settings.allow_foreign_owner:
        own[private_folders.VARIABLE] = "1"  # the program may open the store and the cache, too
    if (slot_at := assignment.run.slot_at or assignment.run.repeated_slot_at) is not None:
        own["ORCHLITE_SCHEDULED_AT"] = slot_at.isoformat()
    found = {**passed, **requested, **task.env, **own}
    return found | {"PATH": os.pathsep.join([str(installation.python.parent), found.get("PATH") or os.defpath])}
