"""SONATA circuits, read and written."""
