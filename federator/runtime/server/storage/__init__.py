"""Weights on the disk of the server: on their way, and as checkpoints."""
