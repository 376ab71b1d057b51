"""One run at the server: its rounds, the sites in it, and its journal."""
