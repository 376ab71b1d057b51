"""Evaluations as the server writes them down: a site's, and those of several sites pooled."""
