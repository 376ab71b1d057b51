"""The author's strategy in a process of its own: no network, no keys, no results."""
