"""Who does the work and when: threads, loops, waiting, shutting down."""
