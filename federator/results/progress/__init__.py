"""How a run stands while it goes on, for a cell of a notebook and for `federator status`."""
