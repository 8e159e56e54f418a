"""Cron expressions, time zones, slots, misfires and back-off. Pure functions: times in, times out."""
