"""FICE as published, without one of its terms, with CLIP's alone, and as it is here."""

from __future__ import annotations

from dataclasses import replace

from ..inversion.loop import invert
from ..settings import EditSettings
from .contract import Edited, Task


class Fice:
    """Constrained GAN inversion with given settings.

    Args:
        settings: their steps are the method's own. If they stitch the head alone, as the paper does, the
            image term holds all that is not the body, as in the paper.
    """

    def __init__(self, settings: EditSettings) -> None:
        self.settings = settings
        self.steps = settings.steps

    def edit(self, task: Task, steps: int | None = None) -> Edited:
        """See `Rival`."""
        settings, models = self.settings, task.models
        if steps is not None:
            settings = replace(settings, steps=steps)
        targets = task.preparation.targets
        if settings.stitch == "head":
            targets = replace(targets, keep_mask=1 - task.preparation.regions.body)
        result = invert(
            models.generator,
            targets,
            settings,
            clip=models.clip,
            densepose=models.densepose,
            segmenter=models.segmenter,
        )
        return Edited(result.images, result.w_plus, result.trace.steps)


def clip_alone() -> Fice:
    """The paper's loop with no term but CLIP's."""
    weights = dict.fromkeys(("pose", "image", "head", "latent"), 0.0)
    return Fice(EditSettings.paper().with_weights(**weights))
