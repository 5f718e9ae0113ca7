"""Readers and trackers of known error; they return the truth."""
