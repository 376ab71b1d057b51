"""What proves a run afterwards: the sites' receipts, and a manifest that the coordinator signs."""
