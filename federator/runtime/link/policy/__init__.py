"""The site's own policy: what it lets itself be asked, how often, and how exactly it answers."""
