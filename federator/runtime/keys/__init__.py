"""Keys: a site's own, the coordinator's as a site knows them, and when they end."""
