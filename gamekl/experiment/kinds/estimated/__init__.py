"""Solvers of games that are estimated from data: regularised, unregularised and pessimistic ones."""
