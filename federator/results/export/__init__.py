"""A run's results for other programs, and for people who were not there."""
