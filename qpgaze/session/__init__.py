"""A recording on disk: read, write, validate, import."""
