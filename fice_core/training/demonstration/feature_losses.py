"""Losses of what can be read, linearly, from the codes and the features of the generator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...networks.stylegan2 import Generator
from ...people.attributes import PATTERNS
from ...people.classes import CLASSES
from .dataset import WAVES, Batch
from .wardrobe import AttributeMapping, Crowd

#: the random people in each batch of the joints' loss
JOINTS_BATCH = 128
#: the least height of features from which ink is read; and the shortest wave in metres from which features of
#: one pixel's height would be read
SMALLEST_MARKS, SHORTEST_WAVE = 64, 2.1
#: heights of features from which the body is read; DensePose's labels with the background
SMALLEST_BODY, LARGEST_BODY, PARTS = 8, 64, 25
#: blocks up to this height tell the classes; larger ones have too few channels
LARGEST_CLASSES = 128


class JointLoss(nn.Module):
    """How badly the joints of random people can be read from their w, linearly."""

    mean: Tensor
    std: Tensor

    def __init__(self, crowd: Crowd, w_dim: int) -> None:
        super().__init__()
        self.numbers, self.places = crowd.numbers[: len(crowd.joints)], crowd.joints
        count = self.places.shape[1]
        self.register_buffer("mean", self.places.mean(0) if count else torch.zeros(0))
        self.register_buffer("std", self.places.std(0).clamp_min(1e-4) if count else torch.zeros(0))
        self.reader = nn.Linear(w_dim, count) if count else None

    def forward(self, wardrobe: AttributeMapping, generator: torch.Generator) -> Tensor:
        """Mean square error in units of the variance; 0 if there are no joints."""
        if self.reader is None:
            return self.mean.new_zeros(())
        index = torch.randint(len(self.places), (JOINTS_BATCH,), generator=generator)
        found = self.reader(wardrobe(self.numbers[index].to(self.mean.device)))
        true = (self.places[index].to(self.mean.device) - self.mean) / self.std
        return F.mse_loss(found, true)


class _Readers(nn.Module):
    """Linear readers of the features of a network's blocks, until `close` is called."""

    def __init__(self, network: Generator, channels: Mapping[int, int]) -> None:
        """Read `channels[height]` numbers from each pixel of the block of this height."""
        super().__init__()
        self._features: dict[str, Tensor] = {}
        self.readers = nn.ModuleDict()
        self._hooks = []
        for height, count in channels.items():
            name, block = str(height), getattr(network.synthesis, f"b{height}")
            self.readers[name] = nn.Conv2d(len(block.conv1.bias), count, 1)
            self._hooks.append(block.register_forward_hook(partial(self._keep, name)))

    def _keep(
        self, name: str, block: nn.Module, inputs: Any, outputs: tuple[Tensor, Tensor]
    ) -> None:
        self._features[name] = outputs[0]

    def read(self) -> list[Tensor]:
        """What is read for the codes that were synthesised last, (n, count, height, height) of each block."""
        found = [reader(self._features[name].float()) for name, reader in self.readers.items()]
        self._features.clear()
        return found

    def close(self) -> None:
        """Leave the network as it was."""
        for hook in self._hooks:
            hook.remove()


class ClothLoss(_Readers):
    """How badly patterns can be read from the features of the blocks, linearly.

    Every person has a target for every pattern, whatever it wears: its ink, and waves on the cloth, long
    ones for small blocks. From images alone the features of stripes hardly arise: as long as the stripes are
    out of place, drawing them raises the loss. The last target is the ink as shown, whatever its colour: it
    teaches which of the patterns is drawn.
    """

    def __init__(self, network: Generator) -> None:
        channels = {}
        for height in network.synthesis.heights:
            count = sum(4 for wave in WAVES if wave * height >= SHORTEST_WAVE)
            # the inks of all patterns but plain, and the ink as shown
            count += len(PATTERNS) * (height >= SMALLEST_MARKS)
            if count:
                channels[height] = count
        super().__init__(network, channels)

    def forward(self, people: Batch) -> Tensor:
        """Mean square error, for the codes that were synthesised last; these are their people."""
        device = next(self.parameters()).device
        marks = torch.cat([people.marks.float() / 255, people.ink()], 1).to(device)
        waves = people.waves.to(device).float() / 127
        loss = marks.new_zeros(())
        for found in self.read():
            size = found.shape[-2:]
            count = min(waves.shape[1], found.shape[1])
            true = F.interpolate(waves[:, :count], size, mode="bilinear", antialias=True)
            if found.shape[1] > count:
                true = torch.cat([true, F.interpolate(marks, size, mode="area")], 1)
            loss = loss + F.mse_loss(found, true)
        return loss


class BodyLoss(_Readers):
    """How badly parts and classes of the body can be read from the features of the blocks, linearly.

    From images alone limbs stay blurred for long: as long as an arm is out of place, drawing it raises the
    loss. Blocks above `LARGEST_BODY` tell the classes alone. Otherwise they learn to sharpen the image of the
    block before, which gives outlines a halo, and not to draw outlines.
    """

    def __init__(self, network: Generator) -> None:
        heights = (h for h in network.synthesis.heights if SMALLEST_BODY <= h <= LARGEST_CLASSES)
        classes = len(CLASSES)
        super().__init__(network, {h: classes + PARTS * (h <= LARGEST_BODY) for h in heights})

    def forward(self, people: Batch) -> Tensor:
        """Square error, summed over labels, averaged over pixels and blocks; people as in `ClothLoss`."""
        shares = body_shares(people).to(next(self.parameters()).device)
        loss = shares.new_zeros(())
        for found in self.read():
            true = F.interpolate(shares[:, -found.shape[1] :], found.shape[-2:], mode="area")
            loss = loss + (found - true).square().sum(1).mean()
        return loss / len(self.readers)


def body_shares(people: Batch) -> Tensor:
    """Whether every second pixel of every second row shows a part, and a class: (n, 35, S/2, S/2)."""
    labels = (people.parts[:, None, ::2, ::2], people.classes[:, None, ::2, ::2])
    counts = (PARTS, len(CLASSES))
    hot = [x == torch.arange(n)[:, None, None] for x, n in zip(labels, counts, strict=True)]
    return torch.cat(hot, 1).float()
