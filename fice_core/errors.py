"""The one exception that means "the user can mend this"."""


class FiceError(ValueError):
    """A user's mistake, told in one line: what was wrong, what was expected, what to do.

    The command line prints the line and exits with 2; a node shows it. Anything else that escapes
    is a defect of the program and keeps its traceback.
    """
