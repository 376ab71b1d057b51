"""Secure aggregation at the server: attempts at a round, and the sum, block by block on disk."""
