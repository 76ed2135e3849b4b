"""Whether a stored network is what it should be."""
