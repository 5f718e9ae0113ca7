"""Sources of gaze and the recorder that writes a session."""
