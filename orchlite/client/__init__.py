"""`Client`, and the handles that it returns."""
