"""Adam on the codes alone: the loop of rivals whose objective is not made of FICE's terms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..networks.stylegan2 import Generator
from ..ops.autograd import with_grad

#: codes (N, num_ws, w_dim) and their images (N, 3, H, W) to one loss a sample, (N,)
Loss = Callable[[Tensor, Tensor], Tensor]


def descend(
    generator: Generator,
    start: Tensor,
    loss: Loss,
    steps: int,
    rate_at: Callable[[float], float],
) -> tuple[Tensor, Tensor]:
    """The images of the last codes that were rendered, (N, 3, H, W), and these codes.

    The losses are summed over the batch, so samples do not influence one another. As in the authors' loops,
    the image is the one rendered before the last update.

    Args:
        generator: frozen.
        start: codes, (N, num_ws, w_dim).
        loss: is minimised.
        steps: of Adam, at least 1.
        rate_at: learning rate by the share of the steps that is done, in [0, 1).
    """
    with with_grad():
        codes = start.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([codes], lr=rate_at(0.0))
        for step in range(steps):
            images = generator.synthesize(codes)
            shown, rendered = images.detach(), codes.detach().clone()
            optimizer.param_groups[0]["lr"] = rate_at(step / steps)
            optimizer.zero_grad()
            loss(codes, images).sum().backward()
            optimizer.step()
    return shown, rendered
