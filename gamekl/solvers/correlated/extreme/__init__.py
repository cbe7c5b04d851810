"""All correlated equilibria of small games, by their extreme ones, and the picture of what they earn."""
