"""A federation as processes on this machine, without Docker."""
