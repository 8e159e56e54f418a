"""The entry point of the runner: `python -I -S -u .../runner/start.py`.

As short as possible: Python never caches the bytecode of a script, but that of the modules it imports.
"""

import sys
from os import _exit
from os.path import abspath, dirname

# Appended, so that no file here can shadow a module of the standard library.
sys.path.append(dirname(dirname(abspath(__file__))))

from runner.loop import main  # type: ignore[import-not-found, unused-ignore]

main()
_exit(0)  # nothing is left to flush, and each `close()` of a client would wait for the interpreter to be torn down
