"""Extractors of stage 1: the initial code of the optimisation and its targets.

Each extractor runs its network on at most `max_batch` images at a time. It returns ordinary tensors
without gradients, also inside `torch.inference_mode()`.
"""

import torch

from ..errors import FiceError
from ..networks.densepose import DensePose
from ..networks.e4e import Encoder
from ..networks.regions import PersonSegmenter, Regions, regions_of
from ..networks.stylegan2 import Generator
from ..ops.batching import MAX_BATCH, in_batches
from .anatomy import BodyRegions, find_body_regions


def encode_latent(
    generator: Generator, encoder: Encoder, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> torch.Tensor:
    """Codes (N, num_ws, w_dim) whose generated images resemble `images` (N, 3, H, W) in [0, 1].

    Raises:
        FiceError: the encoder was not trained for this generator.
    """
    w_plus = in_batches(encoder, images, max_batch)
    if w_plus.shape[1:] != (generator.num_ws, generator.w_dim):
        raise FiceError(
            f"the encoder returns codes of {tuple(w_plus.shape[1:])}, the generator takes "
            f"({generator.num_ws}, {generator.w_dim}): use an encoder trained for this generator"
        )
    return w_plus


def synthesize(
    generator: Generator, w_plus: torch.Tensor, clamp: bool, max_batch: int = MAX_BATCH
) -> torch.Tensor:
    """Images (N, 3, H, W) of codes (N, num_ws, w_dim); clamped to [0, 1] if `clamp`."""
    images = in_batches(generator.synthesize, w_plus, max_batch)
    return images.clamp_(0, 1) if clamp else images


def extract_pose(
    densepose: DensePose, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> torch.Tensor:
    """DensePose part map (N, 14, S, S) of `images` (N, 3, H, W) in [0, 1]; S is 112 in published models."""
    return in_batches(densepose, images, max_batch)


def segment_regions(
    segmenter: PersonSegmenter, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> Regions:
    """Soft masks of background, body and head, (N, 1, H, W) each, of `images` (N, 3, H, W) in [0, 1]."""
    stacked = in_batches(lambda batch: torch.cat(segmenter(batch), dim=1), images, max_batch)
    return Regions(*stacked.split(1, dim=1))


def segment_classes(
    segmenter: PersonSegmenter, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> dict[str, torch.Tensor]:
    """Soft masks of every class that the segmenter tells apart, (N, 1, H, W) each; they sum to 1.

    `regions_of` adds them up to background, body and head. `images` are (N, 3, H, W) in [0, 1].
    """
    stacked = in_batches(
        lambda batch: torch.cat([*segmenter.classes(batch).values()], dim=1), images, max_batch
    )
    return dict(zip(segmenter.labels, stacked.split(1, dim=1), strict=True))


def extract_body_regions(
    densepose: DensePose,
    segmenter: PersonSegmenter,
    images: torch.Tensor,
    max_batch: int = MAX_BATCH,
) -> BodyRegions:
    """Torso, arms, legs and protected parts in `images` (N, 3, H, W) in [0, 1]."""
    parts = extract_pose(densepose, images, max_batch)
    classes = segment_classes(segmenter, images, max_batch)
    return find_body_regions(parts, regions_of(classes), classes)
