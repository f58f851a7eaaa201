"""What an inversion is held to."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch


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
