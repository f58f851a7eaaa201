"""What commands print: progress bars, results and warnings.

Text that cannot be printed never ends a command: its work matters more than the word of it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import click

from ..errors import FiceWarning, printable

if TYPE_CHECKING:
    from tqdm import tqdm

    from ..inversion.result import Step

# What the bar of an edit says, by phase.
_PHASES: dict[str, str] = {
    "search": "searching the code",
    "refine": "fitting the code",
    "tune": "fitting the generator",
    "start": "looking for a start",
    "edit": "editing",
}


class _Tolerant:
    """A text stream that goes silent where the one behind it fails: a full disk, a reader that left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | ValueError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: it has been closed
            self.failure = error
            with contextlib.suppress(
                OSError, ValueError
            ):  # what its buffer holds goes nowhere, too
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """A block in which stdout and stderr can be written to, however the program was started.

    A service or `pythonw` has none, a shell can close them (`2>&-`), and a redirected one may have an
    encoding without most letters. Missing ones lead nowhere. Letters that an encoding lacks are
    written as escapes. If stdout fails, a warning on stderr says so at the end.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # it is closed: the next file would get this number, and the text
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err = _tolerant(sys.stdout), _tolerant(sys.stderr)
    try:
        yield
    finally:
        out.flush()
        if out.failure is not None and not isinstance(out.failure, BrokenPipeError):
            reason = getattr(out.failure, "strerror", None) or out.failure
            warn(f"the text on stdout is incomplete: {reason}")
        err.flush()
        sys.stdout, sys.stderr = before


def _tolerant(stream: TextIO | None) -> _Tolerant:
    if stream is None or stream.closed:
        return _Tolerant(open(os.devnull, "w", encoding="utf-8"))
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return _Tolerant(stream)


def bar(what: str, total: int | None = None, unit: str = "step") -> tqdm[Any]:
    """Return a progress bar on stderr that vanishes when done. Without a terminal nothing is shown."""
    from tqdm import tqdm

    return tqdm(
        desc=printable(what),
        total=total,
        unit=unit,
        bar_format=None if total else "{desc}...",
        leave=False,
        disable=None,
        file=sys.stderr,
    )


def show_step(progress: tqdm[Any], step: Step) -> None:
    """Name the phase of an edit on its bar, and move the bar by one step.

    How many steps the search for a start has is known only when it begins, so the bar waits for it.
    """
    name = _PHASES[step.phase]
    if step.phase == "start":
        progress.set_description_str(f"{name}, {step.index + 1} of {step.steps}", refresh=True)
        return
    progress.set_description_str(name, refresh=False)
    progress.update()


def say(text: str) -> None:
    """Print lines of the command's result, without characters that a terminal obeys."""
    click.echo("\n".join(printable(line) for line in text.split("\n")), file=sys.stdout)


def warn(line: str) -> None:
    """Print a warning, on stderr."""
    complain(f"warning: {line}")


def show_own_warnings() -> None:
    """Print warnings of this project as lines; a user can do nothing about those of libraries."""
    warnings.simplefilter("ignore")
    warnings.simplefilter("once", FiceWarning)
    warnings.showwarning = _show


def _show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, FiceWarning):
        warn(str(message))


def complain(line: str) -> None:
    """Print a line about what is wrong, on stderr."""
    click.echo(f"fice: {printable(' '.join(line.split()))}", file=sys.stderr)
