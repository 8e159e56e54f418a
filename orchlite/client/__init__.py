"""`Client`, and the handles that it returns. They check arguments and shape results; the engine does the work, and `store/` the SQL."""
