"""Measurements over commits, run by asv."""
