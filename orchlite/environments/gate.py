"""The gate: where an interpreter that was started in advance waits before it looks at the program.

The last line of an environment's path file, which `site` executes at every start, comes here; without the variable nothing happens. `site`
catches what a line raises and continues to the program. So in the process that a runner has started, either the order has come and was
acknowledged, or the process ends here. `runs/spec.py` describes the messages, and what holds the program if `site` never gets this far.
"""

VARIABLE = "ORCHLITE_GATE"
"""`runner pid:descriptor:inode`, then `:module` for each one to import in advance; set by the runner for the process that waits."""

# posix.environ is the dictionary behind os.environ; the library has a copy, which unsetenv(3) changes. A process that another path file
# starts has another parent; or, if its parent has ended and the runner has adopted it, it does not lead its session. The descriptor is made
# non-inheritable before anything else happens. `passed` is filled after the acknowledgement, never before: a run that is acknowledged is
# not started again. The exit status is never believed. posix.read and posix.write resume after signals (PEP 475) unless a handler raises.
# Modules are imported before the folder of the program is in sys.path: a name there that they have taken would lose.
PROGRAM = f"""
import posix
runner, descriptor, inode, *names = posix.environ[b'{VARIABLE}'].split(b':')
descriptor = int(descriptor)
if posix.getppid() != int(runner) or posix.getsid(0) != posix.getpid():
    passed.append(True)
else:
    posix.set_inheritable(descriptor, False)
    del posix.environ[b'{VARIABLE}']
    posix.unsetenv('{VARIABLE}')
    state = b'r'
    if names:
        import _signal, sys
        _signal.alarm(30)
        try:
            known = {{*sys.modules}}
            for name in names:
                __import__(name.decode())
            known = {{name.partition('.')[0] for name in {{*sys.modules}} - known}}
            if known := known & {{name.partition('.')[0] for name in posix.listdir()}}:
                state = f"f the bundle's own {{min(known)}} would not be imported".encode()
        except BaseException as error:
            state = f'f {{type(error).__name__}}: {{error}}'.encode('utf-8', 'replace')[:400]
        _signal.alarm(0)
    if posix.fstat(descriptor).st_ino == int(inode) and posix.write(descriptor, state):
        if state == b'r' and posix.read(descriptor, 1) == b'x' and posix.write(descriptor, b'y') == 1:
            passed.append(True)
            posix.close(descriptor)
"""
"""What the file `FILE` contains. It is executed with `passed`, an empty list."""

FILE = "~orchlite.gate"
"""Beside the path file. The program is not in the line, because compiling that is most of what an ungated start pays."""

_LOADER = (
    "import os, posix, sys\npassed = []\ntry:\n with open(os.path.join(sys.prefix, {folder!r}, '" + FILE + "'), 'rb') as file:\n"
    "  exec(file.read(), {{'passed': passed}})\nfinally:\n passed or posix._exit(1)"
)


def expression(folder: str) -> str:
    """Return the end of the path file's line, which needs the module `posix`. `folder`: the path file's, relative to `sys.prefix`."""
    return f"b'{VARIABLE}' in posix.environ and exec({_LOADER.format(folder=folder)!r}, {{}})"
