"""The steps that combine rows, files and processes of one open store: straight-line functions, one transaction each.

They start no threads, except to send a notification; `engine/` decides when each is called.
"""
