"""Six drawn figures to edit, and others by seed."""

from __future__ import annotations

import torch
from torch import Tensor

from .attributes import sample_attributes
from .captions import captions
from .people import Figures
from .renderer import render

_UNSEEN = 2_000_003  # seeds from here on are not those of training
#: seeds of the bundled figures, and the prompt for each
_CAST = (
    (101, "a red striped long sleeve shirt"),
    (102, "a blue polka dot t-shirt"),
    (103, "a green checked tank top"),
    (104, "a yellow sweater"),
    (105, "a black t-shirt with a graphic print"),
    (106, "a purple polka dot tank top"),
)


def figures(size: int = 128) -> Figures:
    """The bundled figures: none of them was seen in training."""
    drawn = [figure(seed, size)[0] for seed, _ in _CAST]
    return Figures(torch.cat(drawn), [text for _, text in _CAST])


def figure(seed: int, size: int = 128) -> tuple[Tensor, str]:
    """One figure, never seen in training: image (1, 3, size, size) in [0, 1], and what it wears."""
    generator = torch.Generator().manual_seed(_UNSEEN + seed)
    attributes = sample_attributes(1, generator)
    return render(attributes, size).images, captions(attributes, generator)[0][0]
