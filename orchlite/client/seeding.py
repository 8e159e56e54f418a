"""The part of a client that seeds its store from a file. Its imports are made at the call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchlite.client.workspace import Workspace
from orchlite.core.arguments import checked_path
from orchlite.core.tables import Table
from orchlite.engine.engine import Engine

if TYPE_CHECKING:
    from orchlite.operations.seeding import SeedChange


class Seeding:
    """The method of a client that gives its store what a scene says."""

    _engine: Engine
    _workspace: Workspace

    def seed(self, path: str | os.PathLike[str]) -> Table[SeedChange]:
        """Give the store the workspaces, models, pipelines and connections of a scene, a TOML file. Return what has changed.

        Idempotent: what the store has already stays as it is. A changed file or changed steps become a new version, a changed connection
        replaces the old one. What the scene does not name is left alone. All of the scene is checked before anything is stored. It
        blocks until all is stored.

        Models and pipelines outside of `workspaces` are for the current workspace. Paths of models are relative to the scene's folder.

        Raises:
            BadArgument: the file cannot be read. Nothing was stored.
            BadScene: the scene is refused; the message names the line and the key. Nothing was stored.
            MissingExtra: a model has a schema, and pyarrow is not installed. Nothing was stored.
            BadModel: the file of a model was changed after the check, and is no model any more. What was stored before stays.
            Conflict, NotFound: another process has created or deleted what this is about meanwhile. What was stored before stays.
        """
        from orchlite.operations import seeding

        return Table(seeding.seed(self._engine.context, checked_path(path), self._workspace.name()))
