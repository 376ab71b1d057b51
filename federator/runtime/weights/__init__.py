"""Weights as bytes: their format, blocks, parts and encodings."""
