"""What an inversion must keep and reach."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch


@dataclass(frozen=True, eq=False)
class Targets:
    """Everything that is fixed while N codes are optimised. A field may be None if no term needs it.

    Targets compare by identity, so that results that depend on them alone can be cached.

    Attributes:
        images: the photos at the generator's resolution, (N, 3, H, W) in [0, 1].
        w_plus: starting codes, (N, num_ws, w_dim).
        text_features: CLIP features of the text, unit norm, (N, D).
        parts: DensePose part map of the photo, (N, 14, 112, 112).
        head: soft head mask of the photo, (N, 1, H, W).
        keep_mask: 1 where the image must stay as it is, (N, 1, H, W) in [0, 1].
        direction: from the features of a source text to those of the text, (N, D).
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
        """The same targets on another device."""
        return replace(self, **{name: value.to(device) for name, value in self._tensors()})

    def clone(self) -> "Targets":
        """Copies of all tensors; ordinary tensors when called outside inference mode."""
        return replace(self, **{name: value.detach().clone() for name, value in self._tensors()})
