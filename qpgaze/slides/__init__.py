"""Pixels of a slide behind one protocol."""
