"""Coarse labels to good labels: pure functions over records and a slide."""
