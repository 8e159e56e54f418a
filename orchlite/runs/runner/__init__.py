"""The program that owns runs: standard library only, started by path, imported by no other room.

It takes one run at a time from its standard input, starts the user's program, reads its output, times it, ends it and records
how it ended. It outlives its host: a run that has begun is finished and recorded whatever becomes of whoever asked for it.
"""
