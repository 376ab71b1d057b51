"""What stays at a site of the models that it trains, on a volume of the site's own."""
