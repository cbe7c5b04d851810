"""Commands of the shell, called within the tests' own process."""

import re

from gamekl.cli import main


def run(capsys, *arguments):
    """Exit status and what is printed."""
    try:
        main([str(entry) for entry in arguments])
        status = 0
    except SystemExit as error:
        status = error.code
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def refused(capsys, *arguments):
    """The message on stderr, after what tells of cases begun, of a command that ends with status 2 and does nothing."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and "Traceback" not in err, err
    begun, name, message = err.partition(f"gamekl {arguments[0]}: ")
    assert all(re.match("(planning|measuring the memory of) case [0-9]+ of ", line) for line in begun.splitlines())
    assert name and message.endswith("\n")
    return name + message
