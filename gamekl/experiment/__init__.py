"""Config to sweep to table to figure."""
