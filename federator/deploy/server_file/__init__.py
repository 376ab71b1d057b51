"""The files of a federation's server: what may stand in them, and their approval."""
