"""Chained lines and signatures: what makes a change to what was written visible."""
