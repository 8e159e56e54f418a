"""`Client`, and the handles that it returns: they check arguments and shape results."""
