"""What a run left behind, checked offline with public keys."""
