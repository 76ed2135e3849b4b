"""DTB's block files, read and written."""
