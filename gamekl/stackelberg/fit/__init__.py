"""Logs of a follower's actions, and the payoffs that they show."""
