"""Generated images with their codes, including perturbed W+ codes.

A network that judges generated images in an edit has to be trained on some. If it is trained on rendered
images only, CLIP mistakes the generator's artefacts for clothes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ...files import replacing
from ...networks.stylegan2 import Generator
from ...people.captions import Facts, facts
from ...people.sampling import person_from_code
from .generator import taught
from .wardrobe import AttributeMapping, Crowd


@dataclass(frozen=True)
class Fakes:
    """Generated images as bytes (n, 3, S, S), their w_plus, and the codes of their people (n, CODE_DIM)."""

    images: Tensor
    w_plus: Tensor
    codes: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def facts(self) -> list[Facts]:
        """What can be said of the people that were generated."""
        return [facts(person_from_code(code)) for code in self.codes.double().numpy()]

    def batch(self, index: Tensor) -> Tensor:
        """The images of these indices, (n, 3, S, S) in [0, 1]."""
        return self.images[index].float() / 255


@torch.no_grad()
def make(
    network: Generator,
    wardrobe: AttributeMapping,
    crowd: Crowd,
    path: Path,
    count: int,
    disturb: float = 0.5,
    seed: int = 7,
) -> Fakes:
    """`count` generated images, or those that an earlier call has written to `path`.

    Noise is added to the w of every layer, up to `disturb` times the standard deviation of w. A third of
    the people have the same w in all layers.
    """
    if path.exists():
        return Fakes(**{k: torch.from_numpy(v) for k, v in np.load(path).items()})
    generator = torch.Generator().manual_seed(seed)
    device = network.w_avg.device
    spread = wardrobe(crowd.numbers[:4096].to(device)).std(0)
    parts: dict[str, list[Tensor]] = {"images": [], "w_plus": [], "codes": []}
    chosen = torch.randint(len(crowd), (count,), generator=generator)
    for index in tqdm(chosen.split(16), desc="generate images", unit="x16"):
        w_plus = taught(wardrobe, crowd.of(index), network.num_ws)
        alike = torch.rand(len(index), 1, 1, generator=generator).to(device) < 1 / 3
        w_plus = torch.where(alike, w_plus[:, -1:], w_plus)
        amount = torch.rand(len(index), 1, 1, generator=generator).square() * disturb
        noise = torch.randn(w_plus.shape, generator=generator)
        w_plus = w_plus + (amount * noise).to(device) * spread
        with torch.autocast(device.type, dtype=torch.bfloat16):
            images = network.synthesize(w_plus).float()
        parts["images"].append((images.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu())
        parts["w_plus"].append(w_plus.cpu())
        parts["codes"].append(crowd.codes[index])
    fakes = Fakes(**{k: torch.cat(v) for k, v in parts.items()})
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{k: getattr(fakes, k).numpy() for k in parts})
    return fakes
