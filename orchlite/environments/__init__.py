"""From the lines of a `requirements.txt` to a virtual environment that is ready to run in."""
