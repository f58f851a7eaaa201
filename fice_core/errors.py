"""The exception for errors that the user can correct."""


class FiceError(ValueError):
    """A user's error. The message is one line: what was wrong, what was expected, what to do.

    The command line prints it and exits with status 2; a node shows it. Any other exception is a
    defect of the program and keeps its traceback.
    """
