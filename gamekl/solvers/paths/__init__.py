"""The logit path itself, as data: the places that the tracer went through, what happens there, and other branches."""
