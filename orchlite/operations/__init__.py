"""What is done with one open store: straight-line functions, one transaction each, no thread."""
