"""A site's process with data and without a network: it runs the author's code."""
