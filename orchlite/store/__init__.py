"""The only home of SQL: one class for each kind of row, over one that owns the connections."""
