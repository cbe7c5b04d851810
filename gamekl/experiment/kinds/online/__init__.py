"""Learning games while playing them."""
