"""The author's notebook is read, sliced and checked here. None of its code runs.

Each module imports only from those above it:

- ``reader``, ``magics``, ``data_layout``: the file becomes cells of plain Python.
- ``slicing``: the statements that some names need.
- ``signatures``, ``strategy``: what the functions and the strategy must look like.
- ``parameters``, ``template_2022``, ``checks``, ``dependencies``: four readers of a slice that do
  not import each other.
- ``cells``, ``contract``: the whole analysis of a notebook, and what becomes of each cell.
- ``preview``: the same as text.
"""
