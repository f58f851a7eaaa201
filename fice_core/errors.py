"""The exception for errors that the user can correct, and the warning for what a user should know."""


class FiceError(ValueError):
    """A user's error. The message is one line: what was wrong, what was expected, what to do.

    The command line prints it and exits with status 2; a node shows it. Any other exception is a
    defect of the program and keeps its traceback.
    """


class FiceWarning(UserWarning):
    """Something that works but may not be what the user expects, in one line, such as an assumed setting.

    The command line prints it. In Python it is an ordinary warning, to be shown, ignored or raised by the
    filters of `warnings`.
    """
