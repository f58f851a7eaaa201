"""StyleCLIP's latent optimisation (Patashnik et al. 2021, arXiv 2103.17249, section 4)."""

from __future__ import annotations

import math

from torch import Tensor

from ..inversion.losses import clip_loss
from ..networks.clip import Clip
from ..ops.autograd import without_grad
from .contract import Edited, Task
from .descent import descend
from .views import unnormalised_look

L2 = 0.008  # of the sum over all numbers of the code; of 18 layers in the authors' experiments
RATE = 0.1
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps
_ENLARGED = 7


def rate_at(done: float) -> float:
    """The learning rate when a share `done` of the steps is done: a linear rise, at the end half a cosine."""
    down = min(1.0, (1 - done) / RAMP_DOWN)
    return RATE * (0.5 - 0.5 * math.cos(math.pi * down)) * min(1.0, done / RAMP_UP)


class LatentOptimisation:
    """Minimises 1 - cos(CLIP(G(w)), CLIP(text)) + 0.008 * sum((w - w_start)^2).

    No term knows who is in the photo; the identity term is off, as in the published code's default.

    Args:
        clip: the CLIP to optimise, shown images as by the authors; None for the one of the models, shown
            images as CLIP's authors do.
    """

    steps = 300

    def __init__(self, clip: Clip | None = None) -> None:
        self._clip = clip

    def edit(self, task: Task, steps: int | None = None) -> Edited:
        """See `Rival`."""
        clip = self._clip or task.models.clip
        look = unnormalised_look(clip, _ENLARGED) if self._clip else clip.encode_image
        with without_grad():
            texts = clip.encode_text(task.prompts)
        start = task.preparation.targets.w_plus

        def loss(codes: Tensor, images: Tensor) -> Tensor:
            away = (codes - start).square().flatten(1).sum(dim=1)
            return clip_loss(look(images), texts) + L2 * away

        count = steps or self.steps
        images, w_plus = descend(task.models.generator, start, loss, count, rate_at)
        return Edited(images, w_plus, count)
