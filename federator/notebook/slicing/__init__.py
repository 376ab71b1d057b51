"""The statements of a notebook that a part of it needs."""
