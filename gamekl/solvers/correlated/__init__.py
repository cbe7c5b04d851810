"""Correlated and coarse correlated equilibria that are best by some measure."""
