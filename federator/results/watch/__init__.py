"""A run while it goes on, over HTTP: a live page and OpenMetrics, for `federator watch`."""
