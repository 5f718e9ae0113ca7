"""Where the eye was on the slide: mapping, fixations, labels. Pure functions."""
