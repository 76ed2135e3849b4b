"""From a connectome to a network at rest: reading, populations, wiring, stores, partition."""
