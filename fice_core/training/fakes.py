"""Generated images with their codes, including perturbed W+ codes.

A network that judges generated images in an edit has to be trained on some. If it is trained on rendered
images only, CLIP mistakes the generator's artefacts for clothes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..demo.attributes import Attributes, attributes_from_code, mix, sample_attributes, sample_codes
from ..files import replacing
from ..networks.stylegan2 import Generator
from .generator import codes_to_w_plus
from .wardrobe import AttributeMapping


@dataclass(frozen=True)
class Fakes:
    """Generated images as bytes (n, 3, S, S), their w_plus, and the codes of their figures."""

    images: Tensor
    w_plus: Tensor
    geometry: Tensor
    appearance: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def attributes(self, index: Tensor) -> Attributes:
        """The attributes of the figures that were generated."""
        return mix(
            attributes_from_code(self.geometry[index]), attributes_from_code(self.appearance[index])
        )

    def batch(self, index: Tensor) -> Tensor:
        """The images of these indices, (n, 3, S, S) in [0, 1]."""
        return self.images[index].float() / 255


@torch.no_grad()
def make(
    network: Generator,
    wardrobe: AttributeMapping,
    path: Path,
    count: int,
    disturb: float = 0.5,
    seed: int = 7,
) -> Fakes:
    """`count` generated images, or those that an earlier call has written to `path`.

    Noise is added to the w of every layer, up to `disturb` times the standard deviation of w.
    """
    if path.exists():
        return Fakes(**{k: torch.from_numpy(v) for k, v in np.load(path).items()})
    generator = torch.Generator().manual_seed(seed)
    device = network.w_avg.device
    spread = wardrobe(sample_attributes(4096, generator)).std(0)
    parts: dict[str, list[Tensor]] = {"images": [], "w_plus": [], "geometry": [], "appearance": []}
    for chunk in tqdm(torch.arange(count).split(32), desc="draw fakes", unit="x32"):
        n = len(chunk)
        geometry, appearance = sample_codes(n, generator), sample_codes(n, generator)
        appearance[: n // 3] = geometry[: n // 3]
        codes = (geometry.to(device), appearance.to(device))
        w_plus = codes_to_w_plus(wardrobe, *codes, network.num_ws)
        amount = torch.rand(n, 1, 1, generator=generator).square() * disturb
        noise = torch.randn(w_plus.shape, generator=generator)
        w_plus = w_plus + (amount * noise).to(device) * spread
        with torch.autocast(device.type, dtype=torch.bfloat16):
            images = network.synthesize(w_plus).float()
        parts["images"].append((images.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu())
        for name, value in (("w_plus", w_plus), ("geometry", geometry), ("appearance", appearance)):
            parts[name].append(value.cpu())
    fakes = Fakes(**{k: torch.cat(v) for k, v in parts.items()})
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{k: getattr(fakes, k).numpy() for k in parts})
    return fakes
