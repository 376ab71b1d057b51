"""Sites without data and training: what weights and messages cost by themselves."""
