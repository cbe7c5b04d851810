"""What a game, a policy and a regularizer are, and how a player responds."""
