"""What a report shows of an evaluation, one module for each task."""
