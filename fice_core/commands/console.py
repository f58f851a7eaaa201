"""What commands print: progress bars, results and warnings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(what: str, total: int | None = None, unit: str = "step") -> tqdm[Any]:
    """Return a progress bar on stderr that vanishes when done. Without a terminal nothing is shown."""
    from tqdm import tqdm

    return tqdm(
        desc=what,
        total=total,
        unit=unit,
        bar_format=None if total else "{desc}...",
        leave=False,
        disable=None,
        file=sys.stderr,
    )


def say(line: str) -> None:
    """Print a line of the command's result."""
    click.echo(line)


def warn(line: str) -> None:
    """Print a warning, on stderr."""
    click.echo(f"fice: warning: {' '.join(line.split())}", err=True)
