"""Files that are where a command would write: what is told, and what is not replaced."""

from collections.abc import Collection, Sequence
from pathlib import Path

from ..errors import FiceError
from ..files import some_of


def replaced(
    existing: Sequence[Path], overwrite: bool, chosen: Collection[Path] = (), option: str = "-o"
) -> list[str]:
    """A line for every file that will be replaced because the command line names it.

    Args:
        existing: outputs that are there already, see `files.check_paths`.
        overwrite: whether files may be replaced without a word.
        chosen: outputs whose names the command chooses, in a folder of the command line.
        option: the option that names this folder.

    Raises:
        FiceError: a file whose name the command chooses is there.
    """
    if overwrite:
        return []
    kept = [path for path in existing if path in chosen]
    if kept:
        raise FiceError(
            f"{kept[0].parent} has {some_of([path.name for path in kept])} already: replace with "
            f"--overwrite, or give another folder with {option}"
        )
    return [
        f"{path} exists and will be replaced (--overwrite: without a word)" for path in existing
    ]
