"""A site's part in secure aggregation: what it checks, how it masks, what it remembers."""
