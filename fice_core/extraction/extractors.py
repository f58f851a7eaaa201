"""Stage 1: where the optimisation starts, and everything it is held to.

Each extractor runs its network over a batch in pieces of `max_batch` pictures and returns ordinary
tensors without a graph, also inside an outer `torch.inference_mode()`.
"""

import torch

from ..errors import FiceError
from ..networks.densepose import DensePose
from ..networks.e4e import Encoder
from ..networks.segmenter import Regions, Segmenter
from ..networks.stylegan2 import Generator
from ..ops.batching import MAX_BATCH, in_batches
from .anatomy import BodyRegions, find_body_regions


def encode_latent(
    generator: Generator, encoder: Encoder, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> torch.Tensor:
    """Codes (N, num_ws, w_dim) whose pictures resemble `images` (N, 3, H, W) in [0, 1].

    Raises:
        FiceError: encoder and generator do not belong together.
    """
    w_plus = in_batches(encoder, images, max_batch)
    if w_plus.shape[1:] != (generator.num_ws, generator.w_dim):
        raise FiceError(
            f"the encoder makes codes of {tuple(w_plus.shape[1:])}, the generator takes "
            f"({generator.num_ws}, {generator.w_dim}): use an encoder trained for this generator"
        )
    return w_plus


def synthesize(
    generator: Generator, w_plus: torch.Tensor, clamp: bool, max_batch: int = MAX_BATCH
) -> torch.Tensor:
    """Pictures (N, 3, H, W) of codes, clamped to [0, 1] if asked."""
    images = in_batches(generator.synthesize, w_plus, max_batch)
    return images.clamp_(0, 1) if clamp else images


def extract_pose(
    densepose: DensePose, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> torch.Tensor:
    """DensePose part map (N, 14, 112, 112) of `images` (N, 3, H, W) in [0, 1]."""
    return in_batches(densepose, images, max_batch)


def segment_regions(
    segmenter: Segmenter, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> Regions:
    """Soft background, body and head, each (N, 1, H, W), of `images` (N, 3, H, W) in [0, 1]."""
    stacked = in_batches(lambda piece: torch.cat(segmenter(piece), dim=1), images, max_batch)
    return Regions(*stacked.split(1, dim=1))


def extract_body_regions(
    densepose: DensePose, segmenter: Segmenter, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> BodyRegions:
    """Torso, arms and what is never edited in `images` (N, 3, H, W) in [0, 1]."""
    parts = extract_pose(densepose, images, max_batch)
    return find_body_regions(parts, segment_regions(segmenter, images, max_batch))
