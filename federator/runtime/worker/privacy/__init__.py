"""Training with differential privacy: DP-SGD, by Opacus."""
