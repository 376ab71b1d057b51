"""What the author's ``train`` gets beside the model."""
