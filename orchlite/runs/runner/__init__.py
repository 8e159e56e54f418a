"""The runner: the program that owns runs. Standard library only, started by path, imported by no other module of orchlite.

It takes one run at a time from its standard input, starts the user's program, reads its output, enforces its timeout, ends it and
records how it ended. It outlives its host: a run that was started is finished and recorded even if the host is gone.
"""
