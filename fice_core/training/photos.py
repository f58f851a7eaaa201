"""The photos of a training, at the generator's size: kept in memory, read ahead."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from ..framing import Frame

_MEMORY = 4 << 30  # bytes of photos that are kept
_READERS = 4  # threads; decoding leaves Python's lock


class ImageSource(Protocol):
    """Anything with an image, such as `datasets.Sample`."""

    def image(self) -> Tensor:
        """The image, (1, 3, H, W) float32 in [0, 1]."""


class Photos:
    """Photos fitted to the generator's size, as in an edit of the whole photo: see `Frame.around`.

    A photo is read once and kept as bytes, as long as there is room. `expect` reads in the background.

    Args:
        sources: of the photos.
        size: (H, W) of the generator's images.
        memory: bytes of photos to keep.
    """

    def __init__(
        self, sources: Sequence[ImageSource], size: tuple[int, int], memory: int = _MEMORY
    ) -> None:
        self.sources, self.size = sources, size
        self._most = max(1, memory // (3 * size[0] * size[1]))
        self._kept: dict[int, Tensor] = {}
        self._coming: dict[int, Future[Tensor]] = {}
        self._readers: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self.sources)

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
            image = self._taken(k)
            rows.append(image.flip(-1) if mirrored and mirrored[position] else image)
        if not rows:  # this process has none of the photos of a step
            return torch.empty(0, 3, *self.size)
        return torch.stack(rows).float() / 255

    def _taken(self, k: int) -> Tensor:
        if k in self._kept:
            return self._kept[k]
        # It is not on its way if it came twice and there was no room for it.
        image = self._coming.pop(k).result() if k in self._coming else self._read(k)
        if len(self._kept) < self._most:
            self._kept[k] = image
        return image

    def _read(self, k: int) -> Tensor:
        image = self.sources[k].image()
        frame = Frame.around((image.shape[-2], image.shape[-1]), self.size)
        return (frame.fit(image)[0].clamp(0, 1) * 255 + 0.5).to(torch.uint8)
