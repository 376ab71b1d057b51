"""The server's own process: the SuperLink, the schedule of runs, and following them."""
