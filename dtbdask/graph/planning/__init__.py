"""What a network and its run will need, before anything is written."""
