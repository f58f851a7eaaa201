"""Stage 1: where the optimisation starts, and everything it is held to.

Each extractor runs its network over a batch in pieces of `max_batch` pictures and returns ordinary
tensors without a graph, also inside an outer `torch.inference_mode()`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch

from ..errors import FiceError
from ..latents import check_latent
from ..networks.densepose import DensePose
from ..networks.e4e import Encoder
from ..networks.segmenter import Regions, Segmenter
from ..networks.stylegan2 import Generator
from ..ops.batching import MAX_BATCH, in_batches
from .anatomy import Anatomy, find_anatomy


@dataclass(frozen=True, eq=False)
class Targets:
    """What stays fixed while N codes are optimised. A target may be None when its term has weight 0.

    Targets are told apart by identity, so that what follows from them alone can be computed once.

    Attributes:
        images: the pictures to edit, at the generator's resolution, (N, 3, H, W) in [0, 1].
        w_plus: starting codes, (N, num_ws, w_dim).
        text_features: wanted CLIP features, unit norm, (N, D).
        parts: wanted DensePose part map, (N, 14, 112, 112).
        head: wanted soft head mask, (N, 1, H, W).
        keep_mask: 1 where the picture must stay as it is, (N, 1, H, W) in [0, 1].
        direction: from the features of a source text to those of the wanted one, (N, D).
    """

    images: torch.Tensor
    w_plus: torch.Tensor
    text_features: torch.Tensor | None = None
    parts: torch.Tensor | None = None
    head: torch.Tensor | None = None
    keep_mask: torch.Tensor | None = None
    direction: torch.Tensor | None = None

    def __post_init__(self) -> None:
        for name, value in self._tensors():
            if len(value) != len(self.images):
                raise ValueError(f"{name} has {len(value)} samples, images {len(self.images)}")

    def __len__(self) -> int:
        return len(self.images)

    def _tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None:
                yield item.name, value

    def select(self, index: torch.Tensor | slice) -> "Targets":
        """The targets of some of the samples."""
        return replace(self, **{name: value[index] for name, value in self._tensors()})

    def to(self, device: torch.device | str) -> "Targets":
        """The same on another device."""
        return replace(self, **{name: value.to(device) for name, value in self._tensors()})

    def clone(self) -> "Targets":
        """Copies of all tensors: ordinary ones when called outside of inference mode."""
        return replace(self, **{name: value.detach().clone() for name, value in self._tensors()})


def encode_latent(
    generator: Generator, encoder: Encoder, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> torch.Tensor:
    """Codes (N, num_ws, w_dim) whose pictures resemble `images` (N, 3, H, W) in [0, 1].

    Raises:
        FiceError: encoder and generator do not belong together.
    """
    w_plus = in_batches(encoder, images, max_batch)
    try:
        check_latent(w_plus, generator)
    except FiceError as error:
        raise FiceError(
            f"the encoder makes codes of {tuple(w_plus.shape[1:])}, the generator takes "
            f"({generator.num_ws}, {generator.w_dim}): use an encoder trained for this generator"
        ) from error
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


def extract_anatomy(
    densepose: DensePose, segmenter: Segmenter, images: torch.Tensor, max_batch: int = MAX_BATCH
) -> Anatomy:
    """Torso, arms and what is never edited in `images` (N, 3, H, W) in [0, 1]."""
    parts = extract_pose(densepose, images, max_batch)
    return find_anatomy(parts, segment_regions(segmenter, images, max_batch))
