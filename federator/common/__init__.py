"""What several stages need: HTTP, Git, templates, files and texts."""
