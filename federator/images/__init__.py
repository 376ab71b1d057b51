"""A federation's Docker images: what is in them, how they are built, and their registry."""
