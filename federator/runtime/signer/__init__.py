"""The coordinator's signer: a process with the key and without a network, which keeps to orders."""
