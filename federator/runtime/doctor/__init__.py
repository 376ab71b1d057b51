"""Looks for what is in a site's way, and tells what to do about it."""
