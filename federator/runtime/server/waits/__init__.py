"""How the server waits for sites: while they answer, and paused while too few are there."""
