"""The sites' updates made into the next global model."""
