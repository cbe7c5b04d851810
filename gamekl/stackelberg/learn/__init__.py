"""What a leader should commit to, learnt from a follower's actions."""
