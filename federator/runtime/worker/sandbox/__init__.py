"""What the author's code may reach: no network, and few folders."""
