"""TediGAN's instance optimisation (Xia et al. 2021, arXiv 2012.03308 and 2104.08910)."""

from __future__ import annotations

from torch import Tensor, nn

from ..inversion.losses import clip_loss
from ..networks.clip import Clip
from ..ops.autograd import without_grad
from .contract import Edited, Task
from .descent import descend
from .views import unnormalised_look

RATE = 0.01
PIXELS, FEATURES, DOMAIN, TEXT = 1.0, 5e-5, 2.0, 2.0
_ENLARGED = 28


class InstanceOptimisation:
    """Minimises pixel error + 5e-5 * feature error + 2 * mean((w - E(G(w)))^2) + 2 * (1 - cos of CLIP).

    Errors are mean squares against the photo, of images in [-1, 1]. E is the encoder of the models; without
    one the term is left out.

    Args:
        clip: the CLIP to optimise, shown images as by the authors; None for the one of the models, shown
            images as CLIP's authors do.
        trunk: VGG16's features for images in [-1, 1]; None leaves that term out.
    """

    steps = 200

    def __init__(self, clip: Clip | None = None, trunk: nn.Module | None = None) -> None:
        self._clip, self._trunk = clip, trunk

    def edit(self, task: Task, steps: int | None = None) -> Edited:
        """See `Rival`."""
        clip, trunk = self._clip or task.models.clip, self._trunk
        look = unnormalised_look(clip, _ENLARGED) if self._clip else clip.encode_image
        load = task.models.load_encoder
        encoder = None if load is None else load()
        targets = task.preparation.targets
        photos = targets.images * 2 - 1
        with without_grad():
            texts = clip.encode_text(task.prompts)
            seen = None if trunk is None else trunk(photos)

        def loss(codes: Tensor, images: Tensor) -> Tensor:
            signed = images * 2 - 1
            total = PIXELS * _mean_square(signed - photos)
            if trunk is not None and seen is not None:
                total = total + FEATURES * _mean_square(trunk(signed) - seen)
            if encoder is not None:
                total = total + DOMAIN * _mean_square(codes - encoder(images))
            return total + TEXT * clip_loss(look(images), texts)

        count = steps or self.steps
        images, w_plus = descend(
            task.models.generator, targets.w_plus, loss, count, lambda done: RATE
        )
        return Edited(images, w_plus, count)


def _mean_square(difference: Tensor) -> Tensor:
    return difference.square().flatten(1).mean(dim=1)
