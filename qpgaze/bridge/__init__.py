"""Into QuPath: labels to annotation objects, and projects behind one protocol."""
