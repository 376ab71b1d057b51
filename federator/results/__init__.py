"""What a run has come to: read from its journal, compared, drawn and reported."""
