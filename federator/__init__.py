"""Notebook Federator: from a Jupyter notebook to a federation of hospitals."""

__version__ = "0.1.0"
