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
from .generator import reconstruction_loss, taught
from .wardrobe import AttributeMapping, Crowd

CONFIG: dict[str, Any] = {
    "input_size": 128,  # a quarter of the time of 256
    "stages": ((16, 1), (48, 2), (96, 2), (144, 2)),
    "head_channels": 96,
}
#: share of the steps whose images are generated and compared; it is the larger part of a step's time
COMPARED = 0.25


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
) -> tuple[Encoder, bool]:
    """Train, or resume training; returns the averaged encoder, and whether all steps are done.

    Half of each batch is rendered, half generated.
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
        network.parameters(), lr=2e-3, weight_decay=1e-4, betas=(0.9, 0.98)
    )

    compared: dict[str, Tensor] = {}

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
        loss = 0.3 * code + 0.002 * offset
        if float(torch.rand((), generator=generator)) < COMPARED:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bf16()):
                drawn = target_network.synthesize(w_plus).float()
            pixels = reconstruction_loss(drawn, images)
            loss = loss + 2.0 / COMPARED * pixels
            compared.update(pixels=pixels.detach(), l1=F.l1_loss(drawn, images).detach())
        return loss, {"code": code.detach(), **compared}

    return fit("encoder", folder, network, optimizer, generator, schedule, objective, decay=0.998)
