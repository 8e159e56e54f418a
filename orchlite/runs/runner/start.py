"""Where a runner begins: `python -I -S -u .../runner/start.py`.

It is kept this short because a script's own bytecode is never cached, while that of its siblings is.
"""

import sys
from os.path import abspath, dirname

# At the end, so that no file of ours can ever stand before a module of the standard library.
sys.path.append(dirname(dirname(abspath(__file__))))

from runner.loop import main  # type: ignore[import-not-found, unused-ignore]

main()
