"""An author's repository: made, and brought up to date."""
