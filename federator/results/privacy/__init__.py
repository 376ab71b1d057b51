"""What sites have spent of their privacy budgets, in words that a clinician reads."""
