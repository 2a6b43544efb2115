"""Find the best candidates: start points, ascent, and linear constraints on the way."""
