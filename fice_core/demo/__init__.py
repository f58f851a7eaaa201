"""The demonstration domain: people with known truth, and the models trained on them.

`gallery` reads the bundled people, `people` gives them as tensors. `figure` and `figures` are those that the
bundled networks know: drawn ones, until networks of people are bundled.

May import `people`, `networks`, `ops` and what lies below them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .people import Figures

SIZE = 128  # pixels at which the bundled networks work


def figures(size: int = SIZE) -> Figures:
    """The bundled figures, in no training set, and a prompt for each."""
    from . import drawn as domain  # torch is imported when it is needed

    return domain.figures(size)


def figure(seed: int, size: int = SIZE) -> tuple[Tensor, str]:
    """One figure, in no training set: image (1, 3, size, size) in [0, 1], and what it wears."""
    from . import drawn as domain

    return domain.figure(seed, size)
