"""Leaders that learn from a follower's actions."""
