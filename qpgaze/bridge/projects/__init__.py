"""A QuPath project behind one protocol: embedded store, paquo, GeoJSON."""
