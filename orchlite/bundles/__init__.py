"""A ZIP or a folder: the names in it, its structure, its content, and where it is kept."""
