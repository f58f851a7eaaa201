"""The image of the starting code: what the generator loses before any edit."""

from __future__ import annotations

from ..extraction.extractors import synthesize
from .contract import Edited, Task


class Reconstruction:
    """Returns the generator's images of the codes that the encoder gives."""

    steps = 0

    def edit(self, task: Task, steps: int | None = None) -> Edited:
        """See `Rival`."""
        w_plus = task.preparation.targets.w_plus
        return Edited(synthesize(task.models.generator, w_plus, False), w_plus)
