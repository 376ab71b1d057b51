"""What happens in a run, told to people: by a webhook, and by e-mail."""
