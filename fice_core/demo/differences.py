"""What an edit of a known figure changed that it should not have, in CIELAB."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ops.color import lab_difference, skin_difference
from .attributes import SLEEVES, Attributes, sleeve_class
from .renderer import LEFT_LEG, LOWER_ARM, RIGHT_LEG, Rendering, render

_BARE = 0.35  # length of the sleeves, of a whole arm's 1, of a figure that shows its lower arms


def drift(generated: Tensor, truth: Rendering, figures: Attributes) -> tuple[Tensor, Tensor]:
    """Mean CIELAB difference of trousers and of background from the photo, before stitching, (N,) each.

    Counted where no garment of the demonstration can reach on these figures: what a longer hem or sleeve
    covers has not drifted.

    Args:
        generated: the generator's images, (N, 3, S, S).
        truth: the photos that were edited.
        figures: who is in them.
    """
    most = torch.ones(len(figures))
    widest = render(figures.replace(sleeve=most, knit=most, fit=most), generated.shape[-1])
    clear = torch.maximum(truth.garment, widest.garment) < 0.01
    legs = (truth.labels == LEFT_LEG) | (truth.labels == RIGHT_LEG)
    trousers = legs[:, None] & (truth.body > 0.99) & clear
    return (
        lab_difference(generated, truth.images, trousers),
        lab_difference(generated, truth.images, (truth.background > 0.99) & clear),
    )


def becomes_bare(figures: Attributes, wished: list[str]) -> list[bool]:
    """Whether arms in long sleeves are to be bare from the elbow down."""
    worn = sleeve_class(figures).tolist()
    long = SLEEVES.index("long")
    return [old == long and new != "long" for old, new in zip(worn, wished, strict=True)]


def bare_skin(edited: Tensor, figures: Attributes) -> Tensor:
    """CIELAB distance of the lower arms from the person's own bare ones, (N,).

    The distance of the median colours; the person's own bare arms are drawn. NaN if no lower arm is in the
    image.

    Args:
        edited: (N, 3, S, S) in [0, 1].
        figures: who they are.
    """
    count, size = len(figures), edited.shape[-1]
    own = render(figures.replace(sleeve=torch.full((count,), _BARE)), size)
    labels = torch.tensor([label for pair in LOWER_ARM.values() for label in pair])
    arms = torch.isin(own.labels, labels)[:, None] & (own.garment < 0.01) & (own.body > 0.99)
    return skin_difference(edited, arms.float(), own.images, arms.float())
