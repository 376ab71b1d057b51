"""Federator inside Jupyter: the magic ``%federator``, with the engine of the command line.

Everything is shown by IPython's own display messages, and what changes by updates of a display
(``display_id``): JupyterLab, Notebook 7 and VS Code all follow them without an extension, and a
plain IPython prints the text that each display also carries.
"""
