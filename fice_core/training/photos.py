"""The photos of a training, at one size: kept in memory as bytes, read ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..datasets.labels import fit_labels
from ..errors import FiceError
from ..framing import Frame

_MEMORY = 4 << 30  # bytes of photos that are kept
_READERS = 4  # threads; decoding leaves Python's lock


class ImageSource(Protocol):
    """Anything with an image, such as `datasets.Sample`."""

    def image(self) -> Tensor:
        """The image, (1, 3, H, W) float32 in [0, 1]."""


class Example(NamedTuple):
    """A photo at the size of the training, (3, H, W) uint8, and its labels (H, W) uint8, if it has some."""

    image: Tensor
    labels: Tensor | None


class Photos:
    """Photos fitted to one size, as in an edit of the whole photo: see `Frame.around`.

    A photo is read once and kept as bytes, as long as there is room. `expect` reads in the background.

    Args:
        sources: of the photos.
        size: (H, W).
        labels: returns the labels of a source, (1, h, w) int64, or None if it has none; None to read no
            labels.
        count: number of different labels.
        memory: bytes of photos and labels to keep.
    """

    def __init__(
        self,
        sources: Sequence[ImageSource],
        size: tuple[int, int],
        labels: Callable[[Any], Tensor | None] | None = None,
        count: int = 0,
        memory: int = _MEMORY,
    ) -> None:
        self.sources, self.size = sources, size
        self._labels, self._count = labels, count
        bytes_each = (3 if labels is None else 4) * size[0] * size[1]
        self._most = max(1, memory // bytes_each)
        self._kept: dict[int, Example] = {}
        self._coming: dict[int, Future[Example]] = {}
        self._readers: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, k: int) -> Example:
        if k in self._kept:
            return self._kept[k]
        # It is not on its way if it came twice and there was no room for it.
        example = self._coming.pop(k).result() if k in self._coming else self._read(k)
        if len(self._kept) < self._most:
            self._kept[k] = example
        return example

    def expect(self, index: Sequence[int]) -> None:
        """Begin to read the photos that `images` will be asked for next."""
        if self._readers is None:
            self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="photos")
        for k in index:
            if k not in self._kept and k not in self._coming:
                self._coming[k] = self._readers.submit(self._read, k)

    def images(self, index: Sequence[int], mirrored: Sequence[bool] = ()) -> Tensor:
        """The photos of these indices, (n, 3, H, W) float32 in [0, 1].

        Args:
            index: of the photos.
            mirrored: whether each is flipped from left to right; none if empty.

        Raises:
            FiceError: a file cannot be read.
        """
        self.expect(index)
        rows: list[Tensor] = []
        for position, k in enumerate(index):
            image = self[k].image
            rows.append(image.flip(-1) if mirrored and mirrored[position] else image)
        if not rows:  # this process has none of the photos of a step
            return torch.empty(0, 3, *self.size)
        return torch.stack(rows).float() / 255

    def _read(self, k: int) -> Example:
        source: Any = self.sources[k]
        image = source.image()
        frame = Frame.around((image.shape[-2], image.shape[-1]), self.size)
        pixels = (frame.fit(image)[0].clamp(0, 1) * 255 + 0.5).to(torch.uint8)
        labels = None if self._labels is None else self._labels(source)
        if labels is None:
            return Example(pixels, None)
        if labels.shape[-2:] != image.shape[-2:]:
            raise FiceError(
                f"the labels of {source.source} have {labels.shape[-1]} x {labels.shape[-2]} pixels, but "
                f"the photo has {image.shape[-1]} x {image.shape[-2]}"
            )
        return Example(pixels, fit_labels(labels, frame, self._count))
