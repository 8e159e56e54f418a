"""Virtual environments, from the lines of a `requirements.txt` to a folder that runs can use. Knows neither the store nor runs."""
