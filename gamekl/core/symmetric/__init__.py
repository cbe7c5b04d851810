"""Games in which all players are alike: the type, its counts of others, and the equations of one policy for all."""
