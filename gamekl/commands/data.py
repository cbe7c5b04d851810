"""`gamekl data`. Loads what it computes with when its arguments are read."""

from collections.abc import Sequence

from gamekl.commands.arguments import enable_x64, read_arguments
from gamekl.commands.flags import Data
from gamekl.commands.programs import keep_programs


def run(arguments: Sequence[str]) -> None:
    """Run ``gamekl data``: print what a log has and what it covers."""
    flags = read_arguments(Data, "gamekl data", arguments)
    keep_programs(asked=True)
    enable_x64()
    from gamekl.commands.logs import data

    data(flags)
