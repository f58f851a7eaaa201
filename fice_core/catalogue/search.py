"""The networks on this machine, recognised by their contents."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .folder import description_of
from .kinds import KINDS, SUFFIXES
from .places import Place

_LEAST = 1 << 16  # bytes; smaller files hold no network of these kinds


@dataclass(frozen=True)
class Located:
    """A network on this machine.

    Attributes:
        kind: name of its kind.
        path: of its file.
        what: in a few words, with its article.
        problem: why it cannot be used as it is, or "".
        place: where it was found.
    """

    kind: str
    path: Path
    what: str
    problem: str
    place: str


def search(
    places: Sequence[Place], looking_at: Callable[[Path], None] = lambda path: None
) -> list[Located]:
    """The networks of the known kinds in some places, in the order of kinds, then of places.

    A file that several places hold, such as one behind a link, is listed once.

    Args:
        places: where to look.
        looking_at: called with every file that is read.
    """
    found: list[Located] = []
    seen: set[Path] = set()
    for place in places:
        for path in _weights(place.folder, place.depth):
            real = path.resolve()
            if real in seen:
                continue
            seen.add(real)
            looking_at(path)
            description = description_of(path)
            kind = description and next((k for k in KINDS if description.kind in k.detected), None)
            if description and kind:
                what = description.summary.removeprefix(f"{path.name} is ")
                problem = str(description.details.get("not usable here", ""))
                found.append(Located(kind.name, path, what, problem, place.name))
    order = [kind.name for kind in KINDS]
    return sorted(found, key=lambda each: order.index(each.kind))


def _weights(folder: Path, depth: int) -> Iterator[Path]:
    """Files of weights up to `depth` folders deep, sorted, without hidden ones."""
    top = len(folder.parts)
    for place, folders, files in os.walk(folder, followlinks=False):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(here.parts) - top >= depth:
            folders.clear()
        for name in sorted(files):
            path = here / name
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                try:
                    large = path.stat().st_size >= _LEAST
                except OSError:
                    continue
                if large:
                    yield path
