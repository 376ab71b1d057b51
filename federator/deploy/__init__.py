"""Where the parts of a federation run: on this machine, or in containers at hospitals."""
