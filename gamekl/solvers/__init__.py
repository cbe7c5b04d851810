"""Game and regularizer to solution."""
