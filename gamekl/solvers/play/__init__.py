"""First-order rules, played round by round."""
