"""Rules in the true game, round by round, from no data."""
