"""A user's log on disk: what its schema says, and how its rows become statistics."""
