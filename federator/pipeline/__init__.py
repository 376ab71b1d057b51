"""GitHub Actions: what a push builds and delivers, and rounds started from anywhere."""
