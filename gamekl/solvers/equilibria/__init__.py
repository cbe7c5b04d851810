"""Many equilibria of a game: found from many starts, each certified."""
