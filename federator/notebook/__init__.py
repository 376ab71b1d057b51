"""The author's notebook: read, taken apart and checked. Nothing of it runs here."""
