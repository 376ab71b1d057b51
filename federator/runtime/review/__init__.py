"""What a site is shown of a new version of its file, before anything of it runs at the site."""
