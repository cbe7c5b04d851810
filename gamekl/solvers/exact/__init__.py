"""Unregularised Nash equilibria of two players: vertices, with certificates."""
