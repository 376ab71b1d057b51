"""What is fast, against what, in one run: ``python -m benchmarks NAME``."""
