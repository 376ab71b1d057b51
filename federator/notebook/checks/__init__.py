"""Checks of a notebook that find what would not work, or not mean the same, at a site."""
