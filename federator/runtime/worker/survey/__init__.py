"""The survey of a site's data: its loaders read once, in bounded time, and counted."""
