"""The gate: where an interpreter that was started in advance waits before it looks at the program.

It ends the line of an environment's path file, which `site` executes at every start; without the variable nothing happens. `site` catches
what a line raises and continues to the program. So in the process that a runner has started, either the order has come and was
acknowledged, or the process ends here. `runs/spec.py` describes the messages, and what holds the program if `site` never gets this far.
"""

VARIABLE = "ORCHLITE_GATE"
"""`runner pid:descriptor:inode`, set by the runner for the process that waits."""

# posix.environ is the dictionary behind os.environ; the library has a copy, which unsetenv(3) changes. A process that another path file
# starts has another parent; or, if its parent has ended and the runner has adopted it, it does not lead its session. The descriptor is made
# non-inheritable before anything else happens. `passed` becomes true after the acknowledgement, never before: a run that is acknowledged is
# not started again. The exit status is never believed. posix.read and posix.write resume after signals (PEP 475) unless a handler raises.
_PROGRAM = f"""
import posix
passed = False
try:
    runner, descriptor, inode = map(int, posix.environ[b'{VARIABLE}'].split(b':'))
    passed = posix.getppid() != runner or posix.getsid(0) != posix.getpid()
    if not passed:
        posix.set_inheritable(descriptor, False)
        del posix.environ[b'{VARIABLE}']
        posix.unsetenv('{VARIABLE}')
        if posix.fstat(descriptor).st_ino == inode and posix.write(descriptor, b'r') and posix.read(descriptor, 1) == b'x':
            passed = posix.write(descriptor, b'y') == 1
            posix.close(descriptor)
finally:
    passed or posix._exit(1)
"""

EXPRESSION = f"b'{VARIABLE}' in posix.environ and exec({_PROGRAM!r}, {{}})"
"""Needs the module `posix`. The program is a string, so that only a process that waits compiles it."""
