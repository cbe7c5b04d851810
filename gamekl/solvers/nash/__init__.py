"""The regularised Nash equilibrium, by the logit path; and the one without regularisation."""
