"""Tiles with COCO labels."""
