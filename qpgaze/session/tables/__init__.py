"""Other recorders' tables of gaze samples: recognise, read, convert."""
