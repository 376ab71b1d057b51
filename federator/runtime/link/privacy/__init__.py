"""The privacy budget of a site: what its training has cost, and what may still be spent."""
