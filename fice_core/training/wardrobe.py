"""The teacher of the mapping network: computes w from attributes.

A network learns very slowly from images alone which of 48 Gaussian numbers decide between stripes and
dots. So synthesis is trained with w computed from the attributes. The mapping network then learns the
same w from the code, by regression.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..demo.attributes import Attributes, sample_attributes
from ..demo.renderer import arm


def features(attributes: Attributes) -> Tensor:
    """Attributes as numbers (N, F): positions, shapes and colours of what is drawn."""
    a = attributes
    scalars = [
        a.centre, a.scale, a.body_width, a.waist, a.head_tilt, a.hair_length, a.hair_volume, a.hair_part,
        a.smile, a.brow, a.sleeve, a.knit, a.fit, a.skirt, a.blush,
        torch.sin(a.fold_phase), torch.cos(a.fold_phase),
    ]  # fmt: skip
    tank = (1 - a.sleeve / 0.25).clamp(0, 1)
    short = ((0.8 - a.sleeve) / 0.3).clamp(0, 1)
    joints = [
        v for side in ("right", "left") for j in (arm(a, side).elbow, arm(a, side).wrist) for v in j
    ]
    ink = [a.pattern[:, k : k + 1] * (a.ink - a.colour) for k in range(1, 5)]
    blocks = [
        torch.stack([*scalars, tank, short, *joints], 1),
        a.arm_angle, a.elbow_angle, a.neckline, a.pattern,
        a.skin, a.hair, a.colour, a.ink, a.bottom, a.background, *ink,
    ]  # fmt: skip
    return torch.cat(blocks, 1)


class AttributeMapping(nn.Module):
    """Attributes -> w (N, w_dim): the sum of a linear map and a small MLP.

    The linear map makes W as linear in the attributes as possible.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, w_dim: int) -> None:
        super().__init__()
        typical = features(sample_attributes(4096, torch.Generator().manual_seed(0)))
        self.register_buffer("mean", typical.mean(0))
        self.register_buffer("std", typical.std(0).clamp_min(1e-4))
        count = typical.shape[1]
        self.straight = nn.Linear(count, w_dim)
        self.bent = nn.Sequential(
            nn.Linear(count, 256),
            nn.LeakyReLU(0.2),
            nn.Linear(256, 256),
            nn.LeakyReLU(0.2),
            nn.Linear(256, w_dim),
        )

    def forward(self, attributes: Attributes) -> Tensor:
        x = (features(attributes) - self.mean) / self.std
        w: Tensor = self.straight(x) * 2 + self.bent(x)
        return w
