"""Makes `import wallaroo` work in this process, unless the platform's own SDK is installed: that one is left alone.

To run a program with it, as a task would run it: `python -m orchlite.sdk main.py [--args-file F]`.
"""

from __future__ import annotations

from orchlite.sdk.finder import make_importable

make_importable()
