"""What the code of a notebook needs besides itself: packages, modules and files."""
