"""Unregularised Nash equilibria of three and more players: support by support, and at the end of the logit path."""
