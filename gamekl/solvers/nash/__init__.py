"""The regularised Nash equilibrium, by the logit path."""
