"""Uploading a bundle in two steps: what `orchlite check` would say, then the upload itself."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from orchlite.client.bundle_source import printable
from orchlite.core.arguments import checked_name
from orchlite.core.errors import InvalidInput
from orchlite.core.files import private_opener, remove_on_error
from orchlite.operations.context import Context
from orchlite.operations.upload import Upload, check, packed
from orchlite.web.language import PAGE
from orchlite.web.received_files import received_bundle
from orchlite.web.staged_bundles import StagedBundle, StagedBundles
from orchlite.web.visit import Visit, action, page, see

_MOST_FILES = 20_000
"""More than a bundle may have, so that its limit is what refuses one with too many."""


def _staged(request: Request) -> StagedBundles:
    bundles: StagedBundles = request.app.state.staged_bundles
    return bundles


def _receive(visit: Visit) -> Response:
    with received_bundle(visit.form) as (path, name):
        staged = _checked(visit, path, name)
    return see(visit.url(f"/orchestrations/checked/{_staged(visit.request).add(staged)}"))


def _checked(visit: Visit, path: Path, name: str) -> StagedBundle:
    """Return what was received, checked as an upload checks it, and packed if it is a folder."""
    context = visit.engine.context
    shown = printable(name)
    workspace = visit.workspace or visit.client.get_current_workspace()
    upload = Upload(path, workspace.id(), Path(shown).stem or None, shown if path.is_file() else f"{shown}.zip")
    try:
        content, upload = packed(context, upload)
        found = check(context, upload._replace(source=content))
    except InvalidInput as error:
        return StagedBundle(upload, visit.now, refused=error)
    return StagedBundle(upload._replace(source=_kept(context, content)), visit.now, found)


def _kept(context: Context, content: bytes | Path) -> Path:
    """Return the path of a new file with this content, where pruning removes what is left behind."""
    path = context.bundles.new_upload()
    source = BytesIO(content) if isinstance(content, bytes) else content.open("rb")
    with source, open(path, "xb", opener=private_opener) as target, remove_on_error(path):
        shutil.copyfileobj(source, target)
    return path


def _show(visit: Visit) -> Response:
    key = visit.request.path_params["key"]
    staged = _staged(visit.request).get(key)
    refused = staged.refused
    return visit.render(
        "checked_bundle.html",
        key=key,
        staged=staged,
        message="" if refused is None else PAGE.spell(refused.message),
        hint="" if refused is None else PAGE.spell(refused.hint or ""),
        existing=_existing(visit, staged),
    )


def _existing(visit: Visit, staged: StagedBundle) -> str | None:
    """Return the id of an orchestration with the same bytes in the workspace; None if there is none."""
    if staged.found is None:
        return None
    same = visit.engine.store.orchestrations.of_sha(staged.found.sha)
    return next((row.orchestration_id for row in reversed(same) if row.workspace_id == staged.upload.workspace_id), None)


def _upload(visit: Visit) -> Response:
    key, bundles = visit.request.path_params["key"], _staged(visit.request)
    staged = bundles.get(key)
    if staged.refused is not None:
        raise staged.refused
    row = visit.engine.upload(staged.upload._replace(name=checked_name(visit.field("name").strip() or None)), reuse=True)
    bundles.remove(key)
    return see(visit.url(f"/orchestrations/{row.orchestration_id}"))


def _discard(visit: Visit) -> Response:
    _staged(visit.request).remove(visit.request.path_params["key"])
    return see(visit.url("/orchestrations"))


ROUTES = [
    action("/orchestrations", _receive, max_files=_MOST_FILES),
    page("/orchestrations/checked/{key}", _show),
    action("/orchestrations/checked/{key}", _upload),
    action("/orchestrations/checked/{key}/discard", _discard),
]
