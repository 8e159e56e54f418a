"""Cron expressions, time zones, slots, misfires and back-off. Pure functions of the times passed in: no store, and no threads."""
