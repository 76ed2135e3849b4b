"""The live view in a browser: stores of a study, linked pages, served on this machine."""
