"""What a leader should commit to, where the game is known."""
