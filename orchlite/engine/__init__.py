"""The threads, loops, waits and shutdown of one open store: they decide when an operation runs. No SQL; each step is in `operations/`."""
