"""The only package with SQL: one class for each kind of row, over one that owns the connections. Touches no files but the database."""
