"""The demonstration domain: rendered figures with known ground truth, and the models trained on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Figures:
    """Pictures (N, 3, S, S) in [0, 1], and for each the garment to dress it in."""

    images: Tensor
    prompts: list[str]


#: seeds of the figures that visitors see, and what they shall wear
_CAST = (
    (101, "a red striped long sleeve shirt"),
    (102, "a blue polka dot t-shirt"),
    (103, "a green checked tank top"),
    (104, "a yellow sweater"),
    (105, "a black t-shirt with a graphic print"),
    (106, "a purple v-neck tank top"),
    (107, "a white long sleeve shirt with stripes"),
    (108, "an orange t-shirt"),
)


def figures(size: int = 128) -> Figures:
    """The bundled figures: none of them was seen in training."""
    import torch

    from .attributes import sample_attributes
    from .renderer import render

    drawn = [
        render(sample_attributes(1, torch.Generator().manual_seed(2_000_003 + seed)), size).images
        for seed, _ in _CAST
    ]
    return Figures(torch.cat(drawn), [text for _, text in _CAST])
