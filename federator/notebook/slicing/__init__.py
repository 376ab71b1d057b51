"""The statements of a notebook that some names need, found in its text.

Each module imports only from those above it:

- ``known_calls``, ``imports``, ``definitions``: what calls, imports and definitions say by name.
- ``names``, ``statements``: the notebook's statements, and what each does with global names.
- ``aliases``, ``effects``, ``effects_reader``: which objects a statement changes.
- ``fixed_values``, ``component``: names that cannot change; the text of a slice.
- ``closure``: the statements that some names need.
"""
