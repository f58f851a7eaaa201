"""Errors that the user can correct, warnings for the user, and text that is safe to print."""

import unicodedata


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


def printable(text: str, limit: int | None = None) -> str:
    r"""`text` on one line, without characters that a terminal obeys.

    Control characters, line breaks, surrogates and marks that turn the direction of writing are
    escaped, as in "\x1b[31m".

    Args:
        text: anything, for example a name in a file of unknown origin.
        limit: characters to keep; what is longer ends in "...".
    """
    if limit is not None:
        text = text[: limit + 1]
    if not text.isprintable():
        text = "".join(
            c if c.isprintable() or unicodedata.category(c) == "Zs" else ascii(c)[1:-1]
            for c in text  # Zs: the wide space of Chinese and Japanese, among others
        )
    return text if limit is None or len(text) <= limit else text[: limit - 3] + "..."
