"""A network in motion: blocks, their exchange, sessions, recordings, BOLD."""
