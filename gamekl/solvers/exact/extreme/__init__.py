"""All equilibria of two players, by their extreme ones, in rational numbers; and the one of most entropy."""
