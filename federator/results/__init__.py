"""The results of a run: read from its journal, compared, drawn and reported."""
