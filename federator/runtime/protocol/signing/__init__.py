"""What the server and the coordinator's signer say to each other, over a Unix socket."""
