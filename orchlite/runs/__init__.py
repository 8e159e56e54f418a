"""The process of one run: its spec, the pool of runners, and its log. `runner/` is the program that owns runs. No rows: files only."""
