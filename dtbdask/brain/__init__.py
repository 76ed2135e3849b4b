"""Brains: connectomes of whatever format, as one labelled dataset."""
