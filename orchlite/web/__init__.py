"""The page: what a store does, to look at and to steer in a browser. Needs the extra `server`."""
