"""The composition root without Qt: what the window and the command line start."""
