"""A pool of rendered figures on disk, rendered once and used by every training stage.

Half of the figures are mixtures: the geometry of one code with the colours of another. The generator is
trained with the first code in the coarse layers and the second in the fine ones. It thus separates shape
and colour in W+.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..demo.attributes import Attributes, attributes_from_code, mix, sample_codes
from ..demo.renderer import render
from ..files import replacing

SHARD = 500
FIELDS = ("geometry", "appearance", "images", "labels", "body", "head", "garment")


@dataclass(frozen=True)
class Batch:
    """n figures.

    Attributes:
        geometry, appearance: codes, (n, CODE_DIM).
        images: (n, 3, S, S) in [0, 1].
        labels: of DensePose, (n, S, S).
        body, head, garment: masks, (n, 1, S, S).
    """

    geometry: Tensor
    appearance: Tensor
    images: Tensor
    labels: Tensor
    body: Tensor
    head: Tensor
    garment: Tensor

    def attributes(self) -> Attributes:
        """The figures' attributes."""
        return mix(attributes_from_code(self.geometry), attributes_from_code(self.appearance))


def _bytes(x: Tensor) -> np.ndarray:
    return (x * 255 + 0.5).to(torch.uint8).numpy()


def _render_shard(path: Path, seed: int, size: int) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    geometry = sample_codes(SHARD, generator)
    appearance = geometry.clone()
    appearance[SHARD // 2 :] = sample_codes(SHARD - SHARD // 2, generator)
    chunks: dict[str, list[np.ndarray]] = {name: [] for name in FIELDS[2:]}
    for part in torch.arange(SHARD).split(25):
        figures = render(
            mix(attributes_from_code(geometry[part]), attributes_from_code(appearance[part])), size
        )
        chunks["labels"].append(figures.labels.to(torch.uint8).numpy())
        for name in ("images", "body", "head", "garment"):
            chunks[name].append(_bytes(getattr(figures, name)))
    arrays: dict[str, Any] = {name: np.concatenate(parts) for name, parts in chunks.items()}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, geometry=geometry.numpy(), appearance=appearance.numpy(), **arrays)


def build(folder: Path, count: int, size: int, seed: int = 0, workers: int | None = None) -> None:
    """Render figures until the folder has at least `count` of them; existing files are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{size}-{seed}-{i:04d}.npz" for i in range((count + SHARD - 1) // SHARD)]
    missing = [(path, seed * 100_003 + i) for i, path in enumerate(paths) if not path.exists()]
    if not missing:
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=context) as executor:
        jobs = [executor.submit(_render_shard, path, s, size) for path, s in missing]
        for job in tqdm(jobs, desc="render figures", unit=f"x{SHARD}"):
            job.result()


class Pool:
    """Rendered figures, in memory as bytes."""

    def __init__(self, folder: Path, count: int, size: int, seed: int = 0) -> None:
        build(folder, count, size, seed)
        shards = [
            np.load(path)
            for path in sorted(folder.glob(f"{size}-{seed}-*.npz"))[: -(-count // SHARD)]
        ]
        self.data = {
            name: torch.from_numpy(np.concatenate([s[name] for s in shards])) for name in FIELDS
        }

    def __len__(self) -> int:
        return len(self.data["images"])

    def batch(self, index: Tensor) -> Batch:
        """The figures of these indices."""
        values = {name: data[index] for name, data in self.data.items()}
        for name in ("images", "body", "head", "garment"):
            values[name] = values[name].float() / 255
        values["labels"] = values["labels"].long()
        return Batch(**values)

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield random batches without end."""
        while True:
            yield self.batch(torch.randint(len(self), (size,), generator=generator))
