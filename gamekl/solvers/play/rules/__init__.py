"""How a player's next policy follows from what its actions have earned: one file a family of rules."""
