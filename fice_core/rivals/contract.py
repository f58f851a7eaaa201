"""What a rival is given, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..editing.prepare import Preparation
from ..models import Models


@dataclass(frozen=True)
class Task:
    """N edits, the same for every rival.

    Attributes:
        models: the networks of FICE; the generator is everybody's.
        preparation: photos in their frames, starting codes, regions and masks, one row an edit.
        prompts: N texts.
        worn: N texts that say what the persons wear now; "" where nobody says.
    """

    models: Models
    preparation: Preparation
    prompts: Sequence[str]
    worn: Sequence[str]


@dataclass(frozen=True)
class Edited:
    """What a rival made.

    Attributes:
        images: the generator's images, (N, 3, *generator.resolution), not stitched.
        w_plus: their codes, (N, num_ws, w_dim); the starting codes where a rival has none of its own.
        steps: optimisation steps that were taken.
    """

    images: Tensor
    w_plus: Tensor
    steps: int = 0


class Rival(Protocol):
    """One editor.

    Attributes:
        steps: the optimisation steps of its authors; 0 if it takes none.
    """

    steps: int

    def edit(self, task: Task, steps: int | None = None) -> Edited:
        """Edit; `steps` replaces the authors' number, and schedules are stretched to it.

        Raises:
            FiceError: a network that the rival needs is missing.
        """
