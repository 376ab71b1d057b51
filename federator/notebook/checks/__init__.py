"""Checks of a notebook: they find what would fail, or would behave differently, at a site."""
