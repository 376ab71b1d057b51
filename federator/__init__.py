"""Notebook Federator: from a Jupyter notebook to a federation of hospitals."""

from importlib import import_module

__version__ = "0.1.0"


def load_ipython_extension(shell: object) -> None:
    """Offer the magic ``%federator``: called by ``%load_ext federator``."""
    # By its name: this module is in every image, and `federator.jupyter` is none of theirs.
    import_module("federator.jupyter.magic").load(shell)
