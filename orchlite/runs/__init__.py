"""The process of one run: what it is given, the pool of runners, and its log. `runner/` is the program that owns runs."""
