"""What a worker counts of an evaluation, one module for each task."""
