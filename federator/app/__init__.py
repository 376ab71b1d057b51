"""The Flower App of a federation, written from its notebook."""
