"""A fit of the code to the photo before the edit. Not in the paper.

Images are compared by their pixels and by the first feature maps of the segmenter.
`pivotal_tuning.tune_generator` can then fit a copy of the generator by the same measures.
"""

from dataclasses import replace

import torch

from ..latents import LatentStatistics
from ..networks.regions import PersonSegmenter
from ..networks.stylegan2 import Generator
from ..settings import InversionSettings, LossWeights
from .loop import invert
from .result import InversionResult, OnStep
from .targets import Targets

REFINE_WEIGHTS = LossWeights(
    clip=0.0, pose=0.0, head=0.0, image=100.0, latent=0.0, latent_prior=0.03, perceptual=1.0
)


def refine_latent(
    generator: Generator,
    segmenter: PersonSegmenter | None,
    images: torch.Tensor,
    w_plus: torch.Tensor,
    steps: int,
    *,
    weights: LossWeights = REFINE_WEIGHTS,
    learning_rate: float = 0.05,
    layer_freedom: float = 0.5,
    max_batch: int = 8,
    mask: torch.Tensor | None = None,
    statistics: LatentStatistics | None = None,
    on_step: OnStep | None = None,
) -> InversionResult:
    """Codes whose images reproduce the photos, and that stay close to W, so that they can be edited.

    This is `invert` with a pixel term, a perceptual term and the Mahalanobis prior. As there, the best
    step counts, a photo whose losses become NaN or infinite keeps the result before and gets a warning,
    and photos do not influence one another.

    Args:
        generator: its gradient flows to the codes alone.
        segmenter: gives the feature maps of the perceptual term; needed only if that has a weight.
        images: photos at the generator's resolution, (N, 3, H, W) in [0, 1].
        w_plus: starting codes, from the encoder, (N, num_ws, w_dim).
        steps: >= 1.
        weights: of the terms; those of text, pose and head must be 0.
        learning_rate: Adam's peak, in units of the spread of W.
        layer_freedom: see `OptimizerSettings`.
        max_batch: photos computed at once; does not change the result.
        mask: 1 where the photo must be reproduced, (N, 1, H, W) in [0, 1]; None for everywhere.
        statistics: of W; estimated if None.
        on_step: see `invert`.

    Returns:
        The codes `w_plus`, their `images` (not clamped), the `initial` images, and the trace.

    Raises:
        FiceError: the codes do not fit the generator, or a value is out of range.
        InversionInterrupted: Ctrl-C; holds the result so far.
    """
    settings = InversionSettings(
        steps=steps,
        coordinates="whitened",
        layer_freedom=layer_freedom,
        learning_rate=learning_rate,
        start_candidates=0,
        max_batch=max_batch,
        clamp=False,
        weights=weights,
    )
    keep = torch.ones_like(images[:, :1]) if mask is None else mask
    targets = Targets(images=images, w_plus=w_plus, keep_mask=keep)
    result = invert(
        generator,
        targets,
        settings,
        segmenter=segmenter,
        statistics=statistics,
        on_step=on_step,
        phase="refine",
    )
    return replace(
        result, warnings=tuple(f"refining the code of {line}" for line in result.warnings)
    )
