"""The server's findings: what differs between the sites' data before anything is trained."""
