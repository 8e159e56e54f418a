"""`python -m orchlite`: the command line."""

from __future__ import annotations

from orchlite.cli import main

if __name__ == "__main__":
    main()
