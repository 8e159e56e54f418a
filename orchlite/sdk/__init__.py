"""Importing this package makes `import wallaroo` find orchlite's module, unless the real SDK is installed.

`python -m orchlite.sdk main.py [--args-file F]` runs a program with it, as a task run.
"""

from __future__ import annotations

from orchlite.sdk.finder import make_importable

make_importable()
