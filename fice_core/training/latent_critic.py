"""The latent discriminator of e4e: tells codes of the mapping network from codes of the encoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POOL = 50
R1_EVERY, R1_GAMMA = 16, 10.0


class LatentCritic(nn.Module):
    """Four hidden layers on one w (Nitzan et al. 2020; Tov et al. 2021): (..., w_dim) -> logits (...).

    Args:
        w_dim: size of w, which should have mean 0 and variance 1, and of the hidden layers.
    """

    def __init__(self, w_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [nn.Linear(w_dim, w_dim), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(w_dim, 1))

    def forward(self, w: Tensor) -> Tensor:
        logits: Tensor = self.layers(w)
        return logits.squeeze(-1)


class CodePool(nn.Module):
    """The last codes of an encoder, some of which are shown again (Shrivastava et al. 2017).

    Its content is a buffer, and so a part of a checkpoint.
    """

    codes: Tensor
    filled: Tensor

    def __init__(self, shape: tuple[int, ...], size: int = POOL) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def exchange(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Codes (N, ...) of which, once the pool is full, about half are replaced by older ones.

        A code that is replaced takes the place of the older one in the pool.
        """
        shown = codes.clone()
        for k in range(len(codes)):
            filled = int(self.filled)
            swapped, place = torch.rand(2, generator=generator).tolist()
            if filled < len(self.codes):
                self.codes[filled] = codes[k]
                self.filled += 1
            elif swapped < 0.5:
                index = min(int(place * filled), filled - 1)
                shown[k] = self.codes[index]
                self.codes[index] = codes[k]
        return shown


def critic_loss(critic: nn.Module, real: Tensor, fake: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Logistic loss, alone and with the lazy R1 penalty at every `R1_EVERY`-th step.

    Args:
        critic: gives logits.
        real, fake: codes (..., w_dim), without gradients.
        step: number of the step.
    """
    loss = F.softplus(critic(fake)).mean() + F.softplus(-critic(real)).mean()
    if step % R1_EVERY:
        return loss, loss
    inputs = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(inputs).sum(), inputs, create_graph=True)
    penalty = gradient.square().sum(-1).mean()
    return loss, loss + 0.5 * R1_GAMMA * R1_EVERY * penalty
