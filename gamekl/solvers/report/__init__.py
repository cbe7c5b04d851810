"""Tables and figures of what solvers return."""
