"""Warn of what a bundle imports and its requirements do not bring: what comes from the hosting interpreter, and what nothing brings.

Where it is not certain, nothing is said: a needless warning is worse than a missing one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchlite.bundles.imports import Import, imports_nothing_else, read_imports
from orchlite.core.errors import BadBundle, PackagingFailed
from orchlite.core.records import OrchestrationRow
from orchlite.core.text import listed, quoted
from orchlite.environments import base_image
from orchlite.environments.builds import Installation
from orchlite.environments.modules import Owner, is_namespace, modules_in, owners, with_dependencies
from orchlite.operations.context import Context

_NEVER_NAMED = frozenset({"wallaroo", "orchlite", "pip", "__main__", "distutils", "sitecustomize", "test", "usercustomize"})
"""Every run has the first of these; which have the others, the folders do not show."""
_LISTED = 20
_log = logging.getLogger(__name__)


def import_warnings(context: Context, orchestration: OrchestrationRow, installation: Installation) -> tuple[str, ...]:
    """Return the warnings about the imports of a bundle whose environment is ready."""
    bundle = context.bundles.path(orchestration.sha)
    return _warnings(context, orchestration, bundle, modules_in(installation.site_packages()))


def has_no_import_warnings(context: Context, orchestration: OrchestrationRow) -> bool:
    """Return whether a bundle without requirements gets none, as far as that can be seen in a millisecond.

    Raises:
        BadBundle, OSError: the bundle cannot be read.
    """
    known = sys.stdlib_module_names | _NEVER_NAMED
    return imports_nothing_else(context.bundles.path(orchestration.sha), orchestration.entrypoint, known.__contains__)


def foreseen_import_warnings(context: Context, orchestration: OrchestrationRow, bundle: Path) -> tuple[str, ...]:
    """Return the warnings about the imports of a bundle that has not been packaged, and need not be stored: `bundle` is its ZIP.

    If its environment exists already, that decides. Otherwise the host's packages show what the requirements would bring; if they do not
    have all of these, nothing is returned.
    """
    requirements = base_image.effective_requirements(orchestration.base_image, orchestration.requirements)
    if not requirements:
        return _warnings(context, orchestration, bundle, frozenset())
    found = _existing(context, requirements)
    if found is not None:
        return _warnings(context, orchestration, bundle, modules_in(found.site_packages()))
    installed = with_dependencies(requirements, context.environments.host_packages().directories)
    return () if installed is None else _warnings(context, orchestration, bundle, frozenset(), installed)


def _existing(context: Context, requirements: tuple[str, ...]) -> Installation | None:
    try:
        return context.environments.find(context.environments.key(requirements))
    except PackagingFailed:
        return None


def _warnings(
    context: Context, orchestration: OrchestrationRow, bundle: Path, brought: frozenset[str], installed: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Return the warnings, given the modules that the requirements bring, and the names of packages that they would install."""
    known = sys.stdlib_module_names | _NEVER_NAMED | brought
    try:
        found = read_imports(bundle, orchestration.entrypoint, known.__contains__)
    except (BadBundle, OSError):
        _log.warning("the imports of orchestration %s could not be read", orchestration.orchestration_id, exc_info=True)
        return ()
    if not found.imports:
        return ()
    host = context.environments.host_packages().directories
    in_host = modules_in(host)
    owned = owners([each.module for each in found.imports if each.module in in_host], host)
    left = [each for each in found.imports if installed.isdisjoint(owner.name for owner in owned.get(each.module, ()))]
    sees_host = orchestration.base_image == base_image.HOST
    from_host = [each for each in left if sees_host and each.module in in_host]
    missing = [each for each in left if each not in from_host and not each.is_optional and not found.changes_path]
    named = [each for each in from_host if not is_namespace(each.module, host)]
    return (*_from_host(named, owned), *_from_nowhere(missing, orchestration.base_image))


def _from_host(imports: Sequence[Import], owned: Mapping[str, Sequence[Owner]]) -> list[str]:
    if not imports:
        return []
    verb, pronoun = ("comes", "it") if len(imports) == 1 else ("come", "them")
    items = [f"{_label(each, owned[each.module])} {_place(each)}" for each in imports]
    way_out = f"Add {pronoun} to requirements.txt; on the base image 'clean' a run sees only what the requirements bring."
    return [f"{verb} from your interpreter, not from a requirement: {listed(items, _LISTED)}. {way_out}"]


def _from_nowhere(imports: Sequence[Import], image: str) -> list[str]:
    if not imports:
        return []
    is_one = len(imports) == 1
    items = [f"{each.module} {_place(each)}" for each in imports]
    below = {base_image.HOST: ", the requirements or your interpreter", base_image.CLEAN: " or the requirements"}
    where = f"the standard library, the bundle{below.get(image, ', the requirements or the base image')}"
    way_out = f"Add the package that has {'it' if is_one else 'each'} to requirements.txt."
    return [f"nothing brings {listed(items, _LISTED)}: {'it is' if is_one else 'they are'} not in {where}. {way_out}"]


def _label(found: Import, owned: Sequence[Owner]) -> str:
    """Return the distribution's name and version, with that of the module if it is another."""
    if not owned:
        return found.module
    is_same = owned[0].name == found.module.lower().replace("_", "-")
    return owned[0].label if is_same else f"{found.module} of {owned[0].label}"


def _place(found: Import) -> str:
    return f"({quoted(found.file)}, line {found.line})"
