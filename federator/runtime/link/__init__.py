"""A site's process with a network and without data: it runs none of the author's code."""
