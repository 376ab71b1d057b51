"""The coordinator's commands on the server's machine: they drive the server's containers."""
