"""Checks what prevents a site from taking part, and says what to do about it."""
