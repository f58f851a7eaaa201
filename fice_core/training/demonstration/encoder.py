"""Trains the e4e encoder for a fixed generator, on generated and rendered people with known codes.

The losses are those of e4e (Tov et al. 2021, section 5) that apply if the true code is known: the distance
in W+, the distance of the reconstruction, and the offsets of the later styles from the first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...networks.e4e import Encoder
from ...networks.stylegan2 import Generator
from ..loop import Schedule, Weights, fast_bf16, fit
from .dataset import People
from .fakes import Fakes
from .generator import importance, reconstruction_loss, smaller, taught
from .wardrobe import AttributeMapping, Crowd

CONFIG: dict[str, Any] = {
    "input_size": 128,  # a quarter of the time of 256
    "stages": ((16, 1), (48, 2), (96, 2), (144, 2)),
    "head_channels": 96,
}
#: share of the steps whose images are compared at full size, which takes three times as long as at half
FULL_SIZE = 0.25


def train(
    generator_network: Generator,
    wardrobe: AttributeMapping,
    people: People,
    crowd: Crowd,
    fakes: Fakes,
    folder: Path,
    schedule: Schedule,
    start: Weights = None,
    batch: int = 8,
    seed: int = 0,
    rate: float = 1e-3,
) -> tuple[Encoder, bool]:
    """Train, or resume training; returns the averaged encoder, and whether all steps are done.

    Half of each batch is rendered, half generated. `rate` is the learning rate.
    """
    generator = torch.Generator().manual_seed(seed + 30)
    target_network = generator_network.eval().requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed + 30)
        network = Encoder(
            num_styles=target_network.num_ws,
            style_dim=target_network.w_dim,
            **CONFIG,
        )
    with torch.no_grad():
        w = wardrobe(crowd.numbers[:4096])
        network.latent_avg.copy_(w.mean(0).expand_as(network.latent_avg))
        spread = w.std(0).clamp_min(0.1 * w.std())
    if start is not None:
        network.load_state_dict(start)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=rate, weight_decay=1e-4, betas=(0.9, 0.98)
    )

    half_size = without_last_block(target_network)

    def objective() -> tuple[Tensor, dict[str, Tensor]]:
        real = people.batch(torch.randint(len(people), (batch // 2,), generator=generator))
        index = torch.randint(len(fakes), (batch // 2,), generator=generator)
        with torch.no_grad():
            rendered = taught(wardrobe, real, target_network.num_ws)
            known = torch.cat([rendered, fakes.w_plus[index]])
        images = torch.cat([real.images, fakes.batch(index)])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bf16()):
            w_plus = network(images).float()
        code = ((w_plus - known) / spread).square().mean()
        offset = ((w_plus[:, 1:] - w_plus[:, :1]) / spread).square().mean()
        full = float(torch.rand((), generator=generator)) < FULL_SIZE
        painter = target_network if full else half_size
        size = painter.resolution[0]
        weights = importance(smaller(real, size))
        weights = torch.cat([weights, torch.ones_like(weights)])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bf16()):
            drawn = painter.synthesize(w_plus[:, : painter.num_ws]).float()
        target = F.interpolate(images, (size, size), mode="area")
        pixels = reconstruction_loss(drawn, target, weights)
        loss = 0.15 * code + 0.002 * offset + 3.0 * pixels
        l1 = F.l1_loss(drawn, target)
        figures = {"code": code, "pixels": pixels, "l1": l1}
        return loss, {name: value.detach() for name, value in figures.items()}

    return fit("encoder", folder, network, optimizer, generator, schedule, objective, decay=0.998)


def without_last_block(network: Generator) -> Generator:
    """The generator of images of half the size, with the weights of `network`."""
    height, width = network.resolution
    config: dict[str, Any] = network.config | {"resolution": [height // 2, width // 2]}
    half = Generator(**config).to(network.w_avg.device)
    state = network.state_dict()
    half.load_state_dict({key: state[key] for key in half.state_dict()})
    return half.eval().requires_grad_(False)
