"""``python -m gamekl``."""

from gamekl.cli import main

main()
