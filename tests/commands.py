"""Commands of the shell, called within the tests' own process."""

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
    """The message on stderr of a command that ends with status 2 and does nothing."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and "Traceback" not in err, err
    assert err.startswith(f"gamekl {arguments[0]}: ") and err.endswith("\n")
    return err
